import type { EventLoop } from '@sdrx/event';
import { ignoreElements, type Observable, tap } from 'rxjs';

/** Those that the manager or a worker hears, but for the one of commands, which Node can't. */
const SIGNALS = ['SIGHUP', 'SIGINT', 'SIGTERM', 'SIGUSR2'] as const;

/**
 * For a process that ends with its loop: a signal that comes when the loop does not hear it any more changes nothing. It would end the
 * process, which then seems to have been killed before it was done.
 */
export function ignoreLateSignals(loop: EventLoop): Observable<never> {
  return loop.exiting({ description: 'late signals' }).pipe(
    tap(() => {
      for (const signal of SIGNALS) process.on(signal, () => {});
    }),
    ignoreElements(),
  );
}
