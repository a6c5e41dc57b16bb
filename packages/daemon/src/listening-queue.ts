import { isSeenWaiting } from '@sdrx/linux';

/** The connections that nobody has accepted yet, as far as they can be seen from outside. */
export class ListeningQueue {
  readonly #fd: number;
  #acceptedBefore: number | undefined;

  /** @param fd the listening socket, which stays the caller's */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /**
   * Looks whether connections wait now and waited at the last look, while none was accepted in between.
   * @param accepted how many were accepted so far
   */
  stands(accepted: number): boolean {
    const before = this.#acceptedBefore;
    const waits = isSeenWaiting(this.#fd);
    this.#acceptedBefore = waits ? accepted : undefined;
    return waits && before === accepted;
  }
}
