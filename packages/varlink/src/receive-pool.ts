import { ReceiveBuffer } from '@sdrx/linux';

/** What one receive takes at most, in bytes: also how much of one connection is handled in a row. */
const RECEIVE_SIZE = 32 * 1024;

/**
 * The one receive buffer that connections share. Only when a handler makes another connection read while its own is
 * still being read, a second one is made for that time.
 */
export class ReceivePool {
  #free: ReceiveBuffer | undefined;

  borrow(): ReceiveBuffer {
    const buffer = this.#free ?? new ReceiveBuffer(RECEIVE_SIZE);
    this.#free = undefined;
    return buffer;
  }

  giveBack(buffer: ReceiveBuffer): void {
    this.#free = buffer;
  }
}
