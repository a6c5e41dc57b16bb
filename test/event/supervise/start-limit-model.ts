/** Sums of times are a little off, in milliseconds. */
const INEXACT = 1e-6;

/** A limit of starts as its documentation has it: within no time of this length there are more. */
export class StartLimitModel {
  readonly #starts: number;
  readonly #interval: number;
  #taken: number[] = [];

  constructor({ starts, interval }: { readonly starts: number; readonly interval: number }) {
    this.#starts = starts;
    this.#interval = interval;
  }

  /** @returns false if there were too many */
  take(now: number): boolean {
    const isAllowed = this.#within(now, this.#interval - INEXACT) < this.#starts;
    this.#taken = [...this.#taken, now].slice(-this.#starts);
    return isAllowed;
  }

  isMet(now: number): boolean {
    return this.#within(now, this.#interval + INEXACT) >= this.#starts;
  }

  /** When there may be a start again, if there is none before. */
  freeAt(): number {
    return (this.#taken.at(-this.#starts) ?? Number.NEGATIVE_INFINITY) + this.#interval;
  }

  #within(now: number, interval: number): number {
    return this.#taken.filter((time) => time > now - interval).length;
  }
}
