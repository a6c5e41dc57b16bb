import { forwardToMainThread, SignalFd, type SignalInfo, setBlocked } from '@sdrx/linux';
import { readable } from './readable.js';

/** Receives one signal the way the event loop does: blocked here, forwarded by every other thread, read from a signalfd. */
export class ReceivedSignals implements Disposable {
  readonly #restore: () => void;
  readonly #signals: SignalFd;

  constructor(readonly signo: number) {
    setBlocked(signo, true);
    this.#restore = forwardToMainThread(signo);
    this.#signals = new SignalFd(signo);
  }

  /** Up to 64 that are here now. */
  read(): SignalInfo[] {
    return this.#signals.read();
  }

  /** Waits for the first `count`. */
  async take(count: number): Promise<SignalInfo[]> {
    const taken: SignalInfo[] = [];
    while (taken.length < count) {
      await readable(this.#signals.fd);
      taken.push(...this.read());
    }
    return taken;
  }

  [Symbol.dispose](): void {
    this.#signals[Symbol.dispose]();
    this.#restore();
    setBlocked(this.signo, false);
  }
}
