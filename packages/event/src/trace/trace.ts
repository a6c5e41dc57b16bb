import { checkInstance } from '@sdrx/linux';
import { Observable } from 'rxjs';
import { coreOf, EventLoop } from '../loop.js';

/** One handler's turn: of which source, how long that has waited, and how long it took. Times are milliseconds on the monotonic clock. */
export interface Dispatch {
  /** What the source comes from: `io`, `time`, `signal`, … */
  readonly kind: string;
  /** What its options say it is for. */
  readonly description: string | undefined;
  /** Its priority; lower comes first. */
  readonly priority: number;
  /** The loop's iteration, of which each has one dispatch. */
  readonly iteration: number;
  /** When the source became pending; when the trace began, if that was later. */
  readonly pending: number;
  /** When its handler was called. */
  readonly begin: number;
  /** When its handler had returned. What it goes on to do after an `await` is no part of it. */
  readonly end: number;
}

/**
 * Tells of each dispatch of a loop when it is over, as long as it is subscribed to, and completes when the loop has finished.
 * Without a subscription it costs nothing, with one about a microsecond a dispatch.
 *
 * Its observer is no source: it is called at once, and holds the loop up for as long as it takes.
 *
 * Fails with ESTALE once the loop has finished.
 * @throws TypeError for what is no EventLoop
 * @example
 * // Whoever keeps the others waiting.
 * trace(loop)
 *   .pipe(filter(({ begin, end }) => end - begin > 10))
 *   .subscribe(({ kind, description }) => console.warn(`${kind} ${description} took long`));
 */
export function trace(loop: EventLoop): Observable<Dispatch> {
  checkInstance('loop', loop, EventLoop);
  const core = coreOf(loop);
  return new Observable((subscriber) => {
    core.requireUsable('trace');
    return core.measure({
      dispatched: ({ source, ...times }) => {
        const { kind, description, priority } = source.describe();
        subscriber.next({ kind, description, priority, iteration: core.iteration, ...times });
      },
      finished: () => subscriber.complete(),
    });
  });
}
