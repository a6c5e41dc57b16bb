import type { Observable } from 'rxjs';
import type { Answer } from './client.js';
import { closeAll } from './outbox.js';
import type { Fields } from './struct.js';

/** How many replies may wait to be taken before nothing more is read. */
const MOST = 100;

/**
 * Replies to be taken one by one. What nobody takes any more is closed.
 * @param hold is told whether too many wait
 */
export async function* queuedReplies<R extends Fields>(
  replies: Observable<Answer<R>>,
  hold: (held: boolean) => void,
): AsyncGenerator<Answer<R>, void, void> {
  const queue: Answer<R>[] = [];
  let end: { readonly error?: unknown } | undefined;
  let wake = () => {};
  const finish = (how: { readonly error?: unknown }) => {
    end = how;
    wake();
  };
  const subscription = replies.subscribe({
    next: (answer) => {
      queue.push(answer);
      if (queue.length >= MOST) hold(true);
      wake();
    },
    error: (error: unknown) => finish({ error }),
    complete: () => finish({}),
  });
  try {
    for (;;) {
      const answer = queue.shift();
      if (answer !== undefined) {
        yield answer;
      } else if (end === undefined) {
        hold(false);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      } else if ('error' in end) {
        throw end.error;
      } else {
        return;
      }
    }
  } finally {
    subscription.unsubscribe();
    hold(false);
    closeAll(queue.flatMap(({ fds }) => fds));
  }
}
