import type { EventLoop } from '@sdrx/event';
import { defer, type Observable, of, switchMap } from 'rxjs';

/** Tells when nothing has happened for a time. To restart it costs next to nothing: it is done for every event. */
export class IdleTimer {
  #since: number;

  /** @param limit in milliseconds, as is `accuracy`, by which it may be late */
  constructor(
    readonly loop: EventLoop,
    readonly limit: number,
    readonly accuracy: number,
  ) {
    this.#since = loop.now();
  }

  /** Something happened. */
  restart(): void {
    this.#since = this.loop.now();
  }

  /** Comes once, and completes, when `limit` has passed since the last restart. */
  readonly elapsed: Observable<void> = defer(() => {
    const left = this.#since + this.limit - this.loop.now();
    if (left <= 0) return of(undefined);
    const { accuracy } = this;
    return this.loop.time({ after: left, accuracy, description: 'idle time' }).pipe(switchMap(() => this.elapsed));
  });
}
