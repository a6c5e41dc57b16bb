import { checkInteger, checkNumber, checkObject } from '@sdrx/linux';

/** How often programs may be started. */
export interface StartLimitOptions {
  /** How many starts there may be within `interval`, from 1 to 1,048,576. */
  readonly starts: number;
  /** In milliseconds, more than 0. */
  readonly interval: number;
}

/**
 * At most so many starts within any time of a length, of one program or of all that are given the same limit. Each start
 * counts, the first of each program, too. Other than systemd's StartLimitBurst=, whose time begins with a start and is then over
 * for all, the time here ends now: two bursts can't follow one another at once.
 */
export class StartLimit {
  readonly #interval: number;
  /** When the last ones were, in milliseconds, in a ring. */
  readonly #times: number[];
  #oldest = 0;

  constructor(options: StartLimitOptions) {
    checkObject('options', options);
    const { starts, interval } = options;
    checkInteger('starts', starts, 1, 2 ** 20);
    checkNumber('interval', interval, Number.MIN_VALUE);
    this.#interval = interval;
    this.#times = Array.from({ length: starts }, () => Number.NEGATIVE_INFINITY);
  }

  /**
   * Asks for a start, and counts it if there may be one.
   * @param now milliseconds on any clock, always the same one; `loop.now()`
   */
  take(now: number): boolean {
    if (this.wait(now) > 0) return false;
    this.#times[this.#oldest] = now;
    this.#oldest = (this.#oldest + 1) % this.#times.length;
    return true;
  }

  /** How long until there may be a start, in milliseconds; 0 if there may be one now. @param now as for `take` */
  wait(now: number): number {
    checkNumber('now', now);
    return Math.max(0, (this.#times[this.#oldest] as number) + this.#interval - now);
  }
}
