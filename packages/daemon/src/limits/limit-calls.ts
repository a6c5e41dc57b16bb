import { EUSERS } from '@sdrx/linux';
import { type ServedMethod, type Service, systemFailure } from '@sdrx/varlink';
import { finalize, isObservable } from 'rxjs';
import type { Quota } from './quota.js';

/**
 * The same service, whose users may have so many calls at a time that are being worked on, over all who share the quota. A call
 * too many is refused with EUSERS.
 */
export function limitCalls({ methods }: Service, calls: Quota): Service {
  return { methods: new Map([...methods].map(([name, method]) => [name, limited(method, calls)])) };
}

function limited(served: ServedMethod, calls: Quota): ServedMethod {
  const { handler } = served;
  if (handler === undefined) return served;
  return {
    ...served,
    handler: (parameters, call) => {
      const place = calls.take(call.peer.uid);
      if (place === undefined) throw systemFailure(EUSERS);
      const giveBack = () => place[Symbol.dispose]();
      let later = false;
      try {
        const answer = handler(parameters, call);
        later = isObservable(answer) || answer instanceof Promise;
        if (isObservable(answer)) return answer.pipe(finalize(giveBack));
        return answer instanceof Promise ? answer.finally(giveBack) : answer;
      } finally {
        if (!later) giveBack();
      }
    },
  };
}
