import type { Observable } from 'rxjs';
import type { Scheduler } from './scheduler.js';
import { type Accuracy, cancel, type Timer } from './timers.js';

/** At most so many dispatches in so long a time; what comes beyond waits. sd_event_source_set_ratelimit(3). */
export interface RateLimitOptions {
  /** How long the window is that begins with a dispatch, in milliseconds, more than 0. */
  readonly interval: number;
  /** How many dispatches a window has room for, 1 or more. */
  readonly burst: number;
  /** Called when a window ends that held the source back. sd_event_source_set_ratelimit_expire_callback(3). */
  readonly onExpire?: () => void;
  /** Lets the source go on at once, with a new window and without `onExpire`. sd_event_source_leave_ratelimit(3). */
  readonly leave?: Observable<unknown>;
}

/** What a limit does to its source. */
interface Limited {
  /** It is held back from now on. */
  suspend(): void;
  /** It may go on. */
  resume(): void;
  follow<V>(option: Observable<V>, next: (value: V) => void): void;
  /** Calls what is a user's; its error ends the source. */
  call(callback: () => void): void;
}

/** The rate limit of one subscription to a source; as a timer, the end of the window that holds it back. */
export class RateLimit implements Timer {
  heapIndex = -1;
  accuracy: Accuracy | undefined = undefined;
  readonly #core: Scheduler;
  readonly #source: Limited;
  readonly #options: RateLimitOptions;
  #begin = Number.NEGATIVE_INFINITY;
  #count = 0;
  #reached = false;

  constructor(core: Scheduler, source: Limited, options: RateLimitOptions) {
    this.#core = core;
    this.#source = source;
    this.#options = options;
    if (options.leave !== undefined) source.follow(options.leave, () => this.#leave());
  }

  /** Whether the source is held back. */
  get reached(): boolean {
    return this.#reached;
  }

  /** When the window ends that holds the source back; undefined if none does. */
  get until(): number | undefined {
    return this.#reached ? this.#begin + this.#options.interval : undefined;
  }

  /** Counts a dispatch. @returns whether there is room for it, else the source is held back until the window ends */
  admit(): boolean {
    const { interval, burst } = this.#options;
    const time = this.#core.currentTime('monotonic');
    if (time - this.#begin > interval) {
      this.#begin = time;
      this.#count = 0;
    }
    if (++this.#count <= burst) return true;
    this.#reached = true;
    this.#core.timers('monotonic').add(this, this.#begin + interval, 0);
    this.#source.suspend();
    return false;
  }

  elapsed(): void {
    // Not now, while the kernel is asked, which must not be disturbed by what `onExpire` does.
    this.#core.afterCollecting(() => this.#expire());
  }

  [Symbol.dispose](): void {
    if (!this.#reached) return;
    this.#reached = false;
    cancel(this);
  }

  #expire(): void {
    this.#source.call(() => {
      if (this.#leave()) this.#options.onExpire?.();
    });
  }

  /** @returns whether the source was held back */
  #leave(): boolean {
    if (!this.#reached) return false;
    this[Symbol.dispose]();
    this.#begin = Number.NEGATIVE_INFINITY;
    this.#source.resume();
    return true;
  }
}
