import type { Kernel } from '../kernel/kernel.js';

/** How long the loop runs without giving Node's own timers, promises and I/O a turn, in milliseconds. */
const TURN = 1;

/** Dispatches that take less than this together, in milliseconds, are not worth a look at the clock each, … */
const QUICK = TURN / 10;

/** … but no more than so many: the next ones may be slow. */
const STRIDE = 16;

/** Turns of Node's loop, in which a loop iterates for as long as it has something to do and Node has not to wait too long. */
export class Turns {
  readonly #kernel: Kernel;
  readonly #iterate: (limit: number) => boolean;
  #scheduled = false;
  /** How many iterations there may be before the next look at the clock. */
  #stride = 1;

  /** @param iterate does up to so many iterations, and tells whether there may be more to do without waiting */
  constructor(kernel: Kernel, iterate: (limit: number) => boolean) {
    this.#kernel = kernel;
    this.#iterate = iterate;
  }

  /** Makes sure that another turn comes. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    this.#kernel.nextTurn(this.#turn);
  }

  #turn = (): void => {
    let time = this.#kernel.stopwatch();
    const end = time + TURN;
    let more = true;
    try {
      while (more && time < end) {
        more = this.#iterate(this.#stride);
        const before = time;
        time = this.#kernel.stopwatch();
        this.#stride = time - before < QUICK ? Math.min(this.#stride * 2, STRIDE) : 1;
      }
    } finally {
      // Also after an error of the loop itself, which must not leave it standing still without a word.
      this.#scheduled = false;
      if (more) this.wake();
    }
  };
}
