import type { EventLoop } from '@sdrx/event';
import { ignoreElements, type Observable, tap } from 'rxjs';

/**
 * For a process that ends with its loop: a signal that comes when the loop does not hear it any more changes nothing. It would end the
 * process, which then seems to have been killed before it was done.
 */
export function ignoreLateSignals(loop: EventLoop, ...signals: readonly NodeJS.Signals[]): Observable<never> {
  return loop.exiting({ description: 'late signals' }).pipe(
    tap(() => {
      for (const signal of signals) process.on(signal, () => {});
    }),
    ignoreElements(),
  );
}
