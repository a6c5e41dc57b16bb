import { EUSERS } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import {
  concat,
  defer,
  EMPTY,
  finalize,
  ignoreElements,
  last,
  map,
  type Observable,
  of,
  share as shared,
  take,
} from 'rxjs';
import type { WorkerContext } from '../worker/worker-context.js';
import { reap } from './make-room.js';
import type { NamespaceShare } from './namespace-share.js';

/** How long a user waits for the refusal, in milliseconds: one who asks again at once would cost others much. */
const PAUSE = 500;

/** Whose dead namespaces are being looked for. */
const looks = new WeakMap<WorkerContext, Map<number, Observable<unknown>>>();

/**
 * Emits once if a user may have another namespace, dead ones of the same being released for that if need be. It comes first, as all
 * else costs much more. For all calls of a user that come meanwhile one looks once.
 * @param owner of the share
 * Fails with EUSERS.
 */
export function requireShare(context: WorkerContext, owner: number, share: NamespaceShare): Observable<void> {
  return defer(() => {
    share.look();
    if (!share.exhausted) return of(undefined);
    return concat(lookOnce(context, owner, share), of(undefined)).pipe(
      last(),
      map(() => {
        if (share.exhausted) throw systemFailure(EUSERS);
      }),
    );
  });
}

function lookOnce(context: WorkerContext, owner: number, share: NamespaceShare): Observable<unknown> {
  const owners = looks.get(context) ?? new Map<number, Observable<unknown>>();
  looks.set(context, owners);
  const begun = owners.get(owner);
  if (begun !== undefined) return begun;
  const pause = defer(() => (share.exhausted ? context.loop.time({ after: PAUSE }).pipe(take(1)) : EMPTY));
  const look = concat(reap(context, share.namespaces), pause).pipe(
    ignoreElements(),
    finalize(() => owners.delete(owner)),
    shared(),
  );
  owners.set(owner, look);
  return look;
}
