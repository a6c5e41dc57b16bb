import { Fd } from '@sdrx/linux';

/** A descriptor of a simulated process, of which Linux knows nothing. */
export class SimulatedFd extends Fd {
  readonly #closed: () => void;

  constructor(number: number, closed: () => void) {
    super(number);
    this.#closed = closed;
  }

  override close(): void {
    if (this.take() >= 0) this.#closed();
  }
}
