import type { PipeEnd } from '@sdrx/event';
import type { VirtualDescriptor } from '@sdrx/event/testing';
import { EPOLLHUP, EPOLLIN } from '@sdrx/linux';

/** A pipe that is none: its reading end is a descriptor of a virtual loop. */
export class SimulatedPipe {
  readonly #descriptor: VirtualDescriptor;
  readonly #writers = new Set<unknown>();
  readonly writingEnd: SimulatedWritingEnd;
  #unread = Buffer.alloc(0);
  /** When nobody had it open for writing any more; Infinity while somebody has. */
  silentSince = Number.POSITIVE_INFINITY;
  /** All that was written before the reading end was closed. */
  written = '';

  constructor(
    descriptor: VirtualDescriptor,
    writingNumber: number,
    readonly now: () => number,
  ) {
    this.#descriptor = descriptor;
    this.writingEnd = new SimulatedWritingEnd(writingNumber, () => this.closedBy(this));
    this.#writers.add(this);
  }

  /** The reading end. */
  get readingEnd(): PipeEnd {
    const descriptor = this.#descriptor;
    const close = () => {
      if (!descriptor.closed) descriptor[Symbol.dispose]();
    };
    return {
      get number() {
        return descriptor.closed ? -1 : descriptor.number;
      },
      close,
      [Symbol.dispose]: close,
    };
  }

  /** Whether somebody has it open for writing. */
  get isHeld(): boolean {
    return this.#writers.size > 0;
  }

  /** Whether its reading end is. */
  get isClosed(): boolean {
    return this.#descriptor.closed;
  }

  get hasUnread(): boolean {
    return this.#unread.length > 0;
  }

  openedBy(writer: unknown): void {
    this.#writers.add(writer);
  }

  closedBy(writer: unknown): void {
    if (!this.#writers.delete(writer) || this.isHeld) return;
    this.silentSince = this.now();
    if (!this.#descriptor.closed) this.#descriptor.ready(EPOLLHUP);
  }

  write(text: string): void {
    if (this.#descriptor.closed || text === '') return;
    this.written += text;
    this.#unread = Buffer.concat([this.#unread, Buffer.from(text)]);
    this.#descriptor.ready(EPOLLIN);
  }

  read(buffer: Uint8Array): number | undefined {
    if (this.#unread.length === 0) return this.isHeld ? undefined : 0;
    const count = this.#unread.copy(buffer);
    this.#unread = this.#unread.subarray(count);
    if (this.#unread.length === 0) this.#descriptor.unready(EPOLLIN);
    return count;
  }
}

class SimulatedWritingEnd implements PipeEnd {
  #number: number;
  readonly #closed: () => void;

  constructor(number: number, closed: () => void) {
    this.#number = number;
    this.#closed = closed;
  }

  get number(): number {
    return this.#number;
  }

  close(): void {
    if (this.#number < 0) return;
    this.#number = -1;
    this.#closed();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
