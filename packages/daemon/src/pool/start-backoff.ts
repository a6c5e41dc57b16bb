/** The first and the longest time that starts are put off, in milliseconds; each is twice the one before. */
const FIRST_DELAY = 250;
const LONGEST_DELAY = 5000;

/** Who fails within this time after its start, in milliseconds, fails at once; after the second one, no failure is soon. */
const AT_ONCE = 100;
const SOON = 10_000;

/** For how long, in milliseconds, and how often workers may fail soon before starts are put off. */
const GRACE = 10_000;
const FREE_FAILURES = 50;

/** Without a failure for this time, in milliseconds, all is well again. */
const CALM = 30_000;

/** Delays in milliseconds, each twice the one before, up to a longest one. */
export class GrowingDelay {
  #last = 0;

  next(): number {
    this.#last = Math.min(Math.max(FIRST_DELAY, this.#last * 2), LONGEST_DELAY);
    return this.#last;
  }

  /** The next one is the first again. */
  reset(): void {
    this.#last = 0;
  }
}

/**
 * How long starts are put off because workers fail over and over soon after their start. For the first ten seconds they are
 * not, since it may be a moment's trouble.
 *
 * Workers that fail at once are no concern of this: they meet the limit of starts, 250 in two seconds, which has rules of
 * its own. What fails more slowly would never meet it and go on for ever.
 */
export class FailureBackoff {
  readonly #delay = new GrowingDelay();
  #first = 0;
  #last = Number.NEGATIVE_INFINITY;
  #failures = 0;

  /**
   * A worker failed.
   * @param lifetime how long after its start, in milliseconds
   * @param now milliseconds on CLOCK_MONOTONIC
   */
  failed(lifetime: number, now: number): void {
    if (lifetime >= SOON) return;
    if (lifetime < AT_ONCE || now - this.#last > CALM) {
      this.#first = now;
      this.#failures = 0;
      this.#delay.reset();
    }
    this.#last = now;
    this.#failures++;
  }

  /** How long to wait before workers are started again, 0 for not at all; to be asked once for each time of waiting. */
  next(now: number): number {
    const often = this.#failures > FREE_FAILURES && now - this.#first > GRACE && now - this.#last <= CALM;
    return often ? this.#delay.next() : 0;
  }
}
