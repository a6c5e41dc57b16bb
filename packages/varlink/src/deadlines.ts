import { atLoad } from '@sdrx/linux';
/**
 * Things that each have the same time from their `begin` to their `end`, and one timer for all of them. The one that began
 * first is due first, so to begin and end costs an entry in a Map.
 */
export class Deadlines<T> implements Disposable {
  readonly #time: number;
  readonly #expired: (thing: T) => void;
  /** When each is due, in the order of that. */
  readonly #due = new Map<T, number>();
  #timer: NodeJS.Timeout | undefined;

  /**
   * @param time in milliseconds; Infinity for never
   * @param expired is called for each that did not end in time, and is not waited for any more
   */
  constructor(time: number, expired: (thing: T) => void) {
    this.#time = time;
    this.#expired = expired;
  }

  /** Begins, or begins anew. */
  begin(thing: T): void {
    if (this.#time === Number.POSITIVE_INFINITY) return;
    this.#due.delete(thing);
    this.#due.set(thing, atLoad.performanceNow() + this.#time);
    if (this.#timer === undefined) this.#arm(this.#time);
  }

  end(thing: T): void {
    if (this.#due.size > 0) this.#due.delete(thing);
  }

  [Symbol.dispose](): void {
    atLoad.clearTimeout(this.#timer);
    this.#due.clear();
  }

  /** Node's timer: the loop's would want a descriptor, of which there may be none left. */
  #arm(time: number): void {
    this.#timer = atLoad.setTimeout(() => this.#look(), Math.min(Math.ceil(time), 0x7fff_ffff)).unref();
  }

  #look(): void {
    this.#timer = undefined;
    for (const [thing, due] of this.#due) {
      const left = due - atLoad.performanceNow();
      if (left > 0) {
        // Another may have armed it meanwhile.
        if (this.#timer === undefined) this.#arm(left);
        return;
      }
      this.#due.delete(thing);
      this.#expired(thing);
    }
  }
}
