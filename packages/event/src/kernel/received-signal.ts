import {
  blockInOtherThreads,
  EOPNOTSUPP,
  EPOLLIN,
  forwardToMainThread,
  isBlocked,
  isMainThread,
  SignalFd,
  SystemError,
  setBlocked,
  shareWithHandler,
  signalName,
  signalNumber,
} from '@sdrx/linux';
import type { PendingSignal, SignalListener, Watch } from './kernel.js';
import type { Watcher } from './watcher.js';

const SIGCHLD = signalNumber('SIGCHLD');

/** The signals that are listened to. Of each the process has one handler and one queue, whatever the number of loops. */
const received = new Map<number, ReceivedSignal>();

/** One signal as long as somebody listens to it: blocked, forwarded to the main thread, and read there. */
export class ReceivedSignal implements PendingSignal {
  readonly #fd: SignalFd;
  readonly #listeners = new Set<SignalListener>();
  /** One watch for each loop, and how many of its sources need it. */
  readonly #watches = new Map<Watcher, { readonly watch: Watch; users: number }>();
  readonly #undo: (() => void)[] = [];
  /** Tells whoever else has to know of each. */
  #tellOthers = (): void => {};

  constructor(readonly signo: number) {
    this.#fd = new SignalFd(signo);
    this.#undo.push(() => this.#fd[Symbol.dispose]());
    try {
      if (signo === SIGCHLD) this.#share();
      else this.#take();
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  /** @throws EMFILE, ENOMEM, ENOSPC */
  add(watcher: Watcher, listener: SignalListener): void {
    try {
      const entry = this.#watches.get(watcher) ?? {
        watch: watcher.watch(this.#fd.fd, EPOLLIN, () => listener.ready(this)),
        users: 0,
      };
      entry.users++;
      this.#watches.set(watcher, entry);
      this.#listeners.add(listener);
    } finally {
      this.#stopIfUnused();
    }
  }

  delete(watcher: Watcher, listener: SignalListener): void {
    this.#listeners.delete(listener);
    const entry = this.#watches.get(watcher);
    if (entry !== undefined && --entry.users === 0) {
      entry.watch[Symbol.dispose]();
      this.#watches.delete(watcher);
    }
    this.#stopIfUnused();
  }

  /** Takes up to `limit` that are pending, by default many, for the listeners of all loops. */
  deliver(limit?: number): void {
    for (const info of this.#fd.read(limit)) {
      for (const listener of this.#listeners) listener.received(info);
    }
    this.#tellOthers();
  }

  /** Has the signal to itself: nobody else in the process is told. */
  #take(): void {
    this.#block();
    this.#undo.push(forwardToMainThread(this.signo));
    blockInOtherThreads(this.signo);
  }

  /**
   * SIGCHLD, which Node needs to learn of the end of its own children, also while the main thread waits for one in spawnSync().
   * A listener of Node's has its handler put in place, and keeps it there when the last child ended.
   */
  #share(): void {
    process.on('SIGCHLD', ignore);
    this.#undo.push(() => process.off('SIGCHLD', ignore));
    // Also of what was pending to the end.
    this.#undo.push(() => this.#tellOthers());
    this.#block();
    const { tell, stop } = shareWithHandler(this.signo);
    this.#tellOthers = tell;
    this.#undo.push(stop);
  }

  #block(): void {
    const wasBlocked = isBlocked(this.signo);
    setBlocked(this.signo, true);
    this.#undo.push(() => {
      // What is still pending was meant for the listeners, and goes with them.
      while (this.#fd.read().length > 0);
      setBlocked(this.signo, wasBlocked);
    });
  }

  #stopIfUnused(): void {
    if (this.#listeners.size > 0) return;
    received.delete(this.signo);
    this.#stop();
  }

  /** Puts things back as they were, in the opposite order. */
  #stop(): void {
    for (let step = this.#undo.pop(); step !== undefined; step = this.#undo.pop()) step();
  }
}

function ignore(): void {}

/**
 * Tells `listener` of each such signal that the process receives, when the loop of `watcher`, or another one that listens to it,
 * asks the kernel.
 * @returns a function that ends the listening
 * @throws EINVAL for SIGKILL and SIGSTOP, and EOPNOTSUPP in a worker thread: the kernel delivers to the main one
 */
export function listenToSignal(signo: number, watcher: Watcher, listener: SignalListener): () => void {
  if (!isMainThread())
    throw new SystemError(EOPNOTSUPP, 'signal', signalName(signo), 'only the main thread can listen to signals');
  let signal = received.get(signo);
  if (signal === undefined) {
    signal = new ReceivedSignal(signo);
    received.set(signo, signal);
  }
  signal.add(watcher, listener);
  return () => signal.delete(watcher, listener);
}
