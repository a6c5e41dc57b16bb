/**
 * Lets at most `burst` starts through within a window of `interval` milliseconds. A window begins with the first start
 * after the last one ended.
 */
export class RateLimit {
  #end: number | undefined;
  #taken = 0;

  constructor(
    readonly interval: number,
    readonly burst: number,
  ) {}

  /** When the newest window ends, or ended: milliseconds on CLOCK_MONOTONIC. Undefined before the first start. */
  get end(): number | undefined {
    return this.#end;
  }

  /**
   * Asks for one start.
   * @param now milliseconds on CLOCK_MONOTONIC
   * @returns false when the window is full: ask again when it has ended
   */
  take(now: number): boolean {
    if (this.#end === undefined || now >= this.#end) {
      this.#end = now + this.interval;
      this.#taken = 0;
    }
    if (this.#taken >= this.burst) return false;
    this.#taken++;
    return true;
  }
}
