import type { VirtualKernel } from './virtual-kernel.js';

/** What loops that share their time run on, as processes of one machine do: to each its kernel. */
export class VirtualMachine {
  readonly #kernels = new Set<VirtualKernel>();

  /** A loop is there. */
  add(kernel: VirtualKernel): void {
    this.#kernels.add(kernel);
  }

  /** A loop is gone. */
  delete(kernel: VirtualKernel): void {
    this.#kernels.delete(kernel);
  }

  /** All that are there. */
  get kernels(): readonly VirtualKernel[] {
    return [...this.#kernels];
  }

  /** How long it is until something is due for one of them, in milliseconds; Infinity if nothing is. */
  get next(): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.kernels.map(({ next }) => next));
  }

  /** Lets time pass for all. */
  pass(milliseconds: number): void {
    for (const kernel of this.#kernels) kernel.pass(milliseconds);
  }

  /** Each has a turn. @returns false if nobody wants one */
  turn(): boolean {
    return this.kernels.map((kernel) => kernel.turn()).includes(true);
  }
}
