import {
  EBUSY,
  ENOTSUP,
  EPOLLIN,
  forwardToMainThread,
  isBlocked,
  isMainThread,
  SignalFd,
  type SignalInfo,
  SystemError,
  setBlocked,
  signalName,
} from '@sdrx/linux';
import type { Watcher } from './watcher.js';

/** The signals that some loop of the process listens to: of a signal there is one handler and one queue. */
const taken = new Set<number>();

/** One signal as long as somebody listens to it: blocked, forwarded to the main thread, and read there. */
class ReceivedSignal {
  readonly listeners = new Set<(info: SignalInfo) => void>();
  readonly #undo: (() => void)[] = [];

  constructor(signo: number, watcher: Watcher) {
    if (taken.has(signo)) throw new SystemError(EBUSY, 'signal in two loops', signalName(signo));
    taken.add(signo);
    this.#undo.push(() => taken.delete(signo));
    try {
      const fd = new SignalFd(signo);
      this.#undo.push(() => fd[Symbol.dispose]());
      const wasBlocked = isBlocked(signo);
      setBlocked(signo, true);
      this.#undo.push(() => {
        // What is still pending was meant for the listeners, and goes with them.
        while (fd.read().length > 0);
        setBlocked(signo, wasBlocked);
      });
      this.#undo.push(forwardToMainThread(signo));
      const watch = watcher.watch(fd.fd, EPOLLIN, () => this.#deliver(fd));
      this.#undo.push(() => watch[Symbol.dispose]());
    } catch (error) {
      this.stop();
      throw error;
    }
  }

  /** Puts things back as they were, in the opposite order. */
  stop(): void {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) step();
  }

  #deliver(fd: SignalFd): void {
    for (const info of fd.read()) {
      for (const listener of this.listeners) listener(info);
    }
  }
}

/** The signals that a loop listens to. Several listeners of one signal all get it. */
export class SignalHub {
  readonly #signals = new Map<number, ReceivedSignal>();

  /**
   * @returns a function that ends the listening
   * Throws EINVAL for SIGKILL and SIGSTOP, EBUSY when another loop listens to it, EOPNOTSUPP in a worker thread: the kernel
   * delivers to the main one.
   */
  listen(signo: number, watcher: Watcher, listener: (info: SignalInfo) => void): () => void {
    if (!isMainThread()) throw new SystemError(ENOTSUP, 'signal outside of the main thread', signalName(signo));
    let signal = this.#signals.get(signo);
    if (signal === undefined) {
      signal = new ReceivedSignal(signo, watcher);
      this.#signals.set(signo, signal);
    }
    const { listeners } = signal;
    listeners.add(listener);
    return () => {
      listeners.delete(listener);
      if (listeners.size > 0) return;
      this.#signals.get(signo)?.stop();
      this.#signals.delete(signo);
    };
  }
}
