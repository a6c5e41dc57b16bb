import type { VirtualDescriptor } from '@sdrx/event/testing';

/** An open file, which several simulated processes may have descriptors of. It goes with the last one. */
export class OpenFile {
  readonly #descriptors = new Set<VirtualDescriptor>();
  #references = 0;
  #revents = 0;

  /** How many have it: descriptors, and messages that are on their way. */
  get references(): number {
    return this.#references;
  }

  /** Somebody has it from now on. */
  hold(descriptor?: VirtualDescriptor): void {
    this.#references++;
    if (descriptor === undefined) return;
    this.#descriptors.add(descriptor);
    if (this.#revents !== 0) descriptor.ready(this.#revents);
  }

  /** Somebody has it no more. */
  release(descriptor?: VirtualDescriptor): void {
    if (descriptor !== undefined) this.#descriptors.delete(descriptor);
    if (--this.#references === 0) this.gone();
  }

  /** What it is ready for from now on, an EPOLL* mask. */
  protected becomes(revents: number): void {
    this.#revents = revents;
    for (const descriptor of this.#descriptors) {
      descriptor.unready(~revents);
      if (revents !== 0) descriptor.ready(revents);
    }
  }

  /** Nobody has it any more. */
  protected gone(): void {}
}
