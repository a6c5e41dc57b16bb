import { type Clock, checkClock } from '@sdrx/linux';
import type { Kernel } from '../kernel/kernel.js';

/** What the clocks show to a handler: the same whenever it asks. */
export class Clocks {
  readonly #kernel: Kernel;
  /** What they showed when they were first asked since the handler began. */
  #times: Record<Clock, number> | undefined;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** A handler begins. */
  restart(): void {
    this.#times = undefined;
  }

  /** The time on a clock, in milliseconds. @throws RangeError for none */
  read(clock: Clock): number {
    this.#times ??= this.#readAll();
    const time: number | undefined = this.#times[clock];
    if (typeof time !== 'number') checkClock(clock);
    return time;
  }

  /** All at once, so that they belong together. */
  #readAll(): Record<Clock, number> {
    const [realtime, boottime] = [this.#kernel.now('realtime'), this.#kernel.now('boottime')];
    return {
      realtime,
      'realtime-alarm': realtime,
      monotonic: this.#kernel.now('monotonic'),
      boottime,
      'boottime-alarm': boottime,
    };
  }
}
