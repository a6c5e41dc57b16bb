import type { PoolSystem } from './pool-system.js';

/** The connections that nobody has accepted yet, as far as they can be seen from outside. */
export class ListeningQueue {
  readonly #fd: number;
  readonly #system: Pick<PoolSystem, 'isSeenWaiting'>;
  #acceptedBefore: number | undefined;

  /** @param fd the listening socket, which stays the caller's */
  constructor(fd: number, system: Pick<PoolSystem, 'isSeenWaiting'>) {
    this.#fd = fd;
    this.#system = system;
  }

  /**
   * Looks whether connections wait now and waited at the last look, while none was accepted in between.
   * @param accepted how many were accepted so far
   */
  stands(accepted: number): boolean {
    const before = this.#acceptedBefore;
    const waits = this.#system.isSeenWaiting(this.#fd);
    this.#acceptedBefore = waits ? accepted : undefined;
    return waits && before === accepted;
  }
}
