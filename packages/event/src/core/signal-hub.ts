import type { SignalInfo } from '@sdrx/linux';
import type { Kernel, PendingSignal } from '../kernel/kernel.js';
import type { SignalQueue } from './scheduler.js';
import type { Source } from './source.js';

/** A source, and the signal that it listens to. */
interface Listening {
  readonly source: Source<SignalInfo>;
  readonly signo: number;
}

/**
 * The signals that a loop's sources listen to. Of those that are pending the one with the lowest number comes first, among
 * sources of one priority, as in sd-event: until its source had its turn, the others stay in the kernel. There a lower one may
 * still go ahead of them, and a standard signal that is sent again becomes one with the first.
 */
export class SignalHub implements SignalQueue {
  /** An array, which is walked faster than a set: it is, for each signal, and there are few. */
  #listening: readonly Listening[] = [];
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
    this.#listening = [...this.#listening, { source, signo }];
    return () => {
      this.#listening = this.#listening.filter((each) => each.source !== source);
      stop();
    };
  }

  /** Takes from the kernel what has its turn now; after the kernel was asked. */
  take(): void {
    this.#left = false;
    const ready = this.#ready;
    if (ready.length > 1) ready.sort((a, b) => b.signo - a.signo);
    for (let signal = ready.pop(); signal !== undefined; signal = ready.pop()) this.#takeOne(signal);
  }

  #takeOne(signal: PendingSignal): void {
    let priority = Number.POSITIVE_INFINITY;
    for (const { source, signo } of this.#listening) {
      if (signo === signal.signo) priority = Math.min(priority, source.priority);
    }
    let alone = true;
    for (const { source, signo } of this.#listening) {
      if (source.priority !== priority) continue;
      // One that its rate limit holds back holds back no other.
      if (source.pending && !source.suspended) {
        this.#left = true;
        return;
      }
      if (signo !== signal.signo) alone = false;
    }
    if (!alone) this.#left = true;
    signal.deliver(alone ? undefined : 1);
  }
}
