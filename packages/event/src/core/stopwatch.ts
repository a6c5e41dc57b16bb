import type { Kernel } from '../kernel/kernel.js';
import type { Dispatchable } from './dispatchable.js';

/** One dispatch, as it was measured. Times are in milliseconds on the monotonic clock. */
export interface MeasuredDispatch {
  readonly source: Dispatchable;
  /** When it became pending. */
  readonly pending: number;
  /** When its handler was called. */
  readonly begin: number;
  /** When its handler had returned. */
  readonly end: number;
}

/** Who wants to know of them. */
export interface DispatchListener {
  dispatched(dispatch: MeasuredDispatch): void;
  /** The loop has finished. */
  finished(): void;
}

/** What is known of a source. */
interface Tally {
  pendingSince: number | undefined;
  time: number;
  longest: number;
}

/** Measures how long sources wait for their turn, and how long their handlers take, for those who listen. */
export class Stopwatch {
  readonly #kernel: Kernel;
  readonly #tallies = new WeakMap<Dispatchable, Tally>();
  readonly #listeners = new Set<DispatchListener>();
  /** Since when all is measured. */
  readonly #begin: number;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#begin = kernel.now('monotonic');
  }

  /** Whether anybody listens. */
  get used(): boolean {
    return this.#listeners.size > 0;
  }

  add(listener: DispatchListener): void {
    this.#listeners.add(listener);
  }

  delete(listener: DispatchListener): void {
    this.#listeners.delete(listener);
  }

  /** A source is pending from now on, if it has not been before. */
  pends(source: Dispatchable): void {
    this.#tally(source).pendingSince ??= this.#kernel.now('monotonic');
  }

  /** A source is pending no more, and has not been dispatched. */
  withdrawn(source: Dispatchable): void {
    this.#tally(source).pendingSince = undefined;
  }

  /** Calls a source's handler, which takes it out of those that are pending. */
  call(source: Dispatchable, dispatch: () => void): void {
    const tally = this.#tally(source);
    const { pendingSince: pending = this.#begin } = tally;
    // What makes it pending again in its own handler is the next time.
    tally.pendingSince = undefined;
    const begin = this.#kernel.now('monotonic');
    try {
      dispatch();
    } finally {
      const end = this.#kernel.now('monotonic');
      tally.time += end - begin;
      tally.longest = Math.max(tally.longest, end - begin);
      for (const listener of this.#listeners) listener.dispatched({ source, pending, begin, end });
    }
  }

  finish(): void {
    for (const listener of this.#listeners) listener.finished();
  }

  /** What is known of a source. */
  read(source: Dispatchable): Readonly<Tally> {
    return this.#tally(source);
  }

  #tally(source: Dispatchable): Tally {
    let tally = this.#tallies.get(source);
    if (tally === undefined) {
      tally = { pendingSince: undefined, time: 0, longest: 0 };
      this.#tallies.set(source, tally);
    }
    return tally;
  }
}
