import type { SignalInfo } from '@sdrx/linux';
import type { Kernel, PendingSignal } from '../kernel/kernel.js';
import type { SignalQueue } from './scheduler.js';
import type { Source } from './source.js';

/**
 * The signals that a loop's sources listen to. Of those that are pending the one with the lowest number comes first, among
 * sources of one priority, as in sd-event: until its source had its turn, the others stay in the kernel. There a lower one may
 * still go ahead of them, and a standard signal that is sent again becomes one with the first.
 */
export class SignalHub implements SignalQueue {
  readonly #sources = new Map<Source<SignalInfo>, number>();
  /** What the kernel has said is pending, since it was asked last. */
  readonly #ready: PendingSignal[] = [];
  readonly #kernel: Kernel;
  #left = false;

  constructor(kernel: Kernel) {
    this.#kernel = kernel;
  }

  /** Whether signals may have been left in the kernel, behind one that has its turn before them. */
  get left(): boolean {
    return this.#left;
  }

  /**
   * Has the source become pending with each such signal.
   * @returns a function that ends it.
   * @throws as `Kernel.signal`
   */
  listen(signo: number, source: Source<SignalInfo>): () => void {
    const stop = this.#kernel.signal(signo, {
      ready: (signal) => this.#ready.push(signal),
      received: (info) => source.pendAlso(info),
    });
    this.#sources.set(source, signo);
    return () => {
      this.#sources.delete(source);
      stop();
    };
  }

  /** Takes from the kernel what has its turn now; after the kernel was asked. */
  take(): void {
    this.#left = false;
    if (this.#ready.length === 0) return;
    if (this.#ready.length > 1) this.#ready.sort((a, b) => a.signo - b.signo);
    for (const signal of this.#ready) this.#takeOne(signal);
    this.#ready.length = 0;
  }

  #takeOne(signal: PendingSignal): void {
    const { signo } = signal;
    let priority = Number.POSITIVE_INFINITY;
    for (const [source, number] of this.#sources) {
      if (number === signo) priority = Math.min(priority, source.priority);
    }
    let alone = true;
    for (const [source, number] of this.#sources) {
      if (source.priority !== priority) continue;
      // One that its rate limit holds back holds back no other.
      if (source.pending && !source.suspended) {
        this.#left = true;
        return;
      }
      if (number !== signo) alone = false;
    }
    if (!alone) this.#left = true;
    signal.deliver(alone ? undefined : 1);
  }
}
