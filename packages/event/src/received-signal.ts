import {
  blockInOtherThreads,
  EOPNOTSUPP,
  EPOLLIN,
  forwardToMainThread,
  isBlocked,
  isMainThread,
  SignalFd,
  type SignalInfo,
  SystemError,
  setBlocked,
  signalName,
  signalNumber,
} from '@sdrx/linux';
import { childrenChanged, receiveChildStateChanges } from './child-state-change.js';
import type { Watch, Watcher } from './watcher.js';

const SIGCHLD = signalNumber('SIGCHLD');

/** The signals that are listened to. Of each the process has one handler and one queue, whatever the number of loops. */
const received = new Map<number, ReceivedSignal>();

/** One signal as long as somebody listens to it: blocked, forwarded to the main thread, and read there. */
class ReceivedSignal {
  readonly #fd: SignalFd;
  readonly #listeners = new Set<(info: SignalInfo) => void>();
  /** One watch for each loop, and how many of its sources need it. */
  readonly #watches = new Map<Watcher, { readonly watch: Watch; users: number }>();
  readonly #undo: (() => void)[] = [];

  constructor(readonly signo: number) {
    this.#fd = new SignalFd(signo);
    this.#undo.push(() => this.#fd[Symbol.dispose]());
    try {
      if (signo === SIGCHLD) {
        receiveChildStateChanges(true);
        this.#undo.push(() => receiveChildStateChanges(false));
      }
      const wasBlocked = isBlocked(signo);
      setBlocked(signo, true);
      this.#undo.push(() => {
        // What is still pending was meant for the listeners, and goes with them.
        while (this.#fd.read().length > 0);
        setBlocked(signo, wasBlocked);
      });
      this.#undo.push(forwardToMainThread(signo));
      blockInOtherThreads(signo);
    } catch (error) {
      this.#stop();
      throw error;
    }
  }

  /** Throws EMFILE, ENOMEM, ENOSPC. */
  add(watcher: Watcher, listener: (info: SignalInfo) => void): void {
    try {
      const entry = this.#watches.get(watcher) ?? {
        watch: watcher.watch(this.#fd.fd, EPOLLIN, () => this.#deliver()),
        users: 0,
      };
      entry.users++;
      this.#watches.set(watcher, entry);
      this.#listeners.add(listener);
    } finally {
      this.#stopIfUnused();
    }
  }

  delete(watcher: Watcher, listener: (info: SignalInfo) => void): void {
    this.#listeners.delete(listener);
    const entry = this.#watches.get(watcher);
    if (entry !== undefined && --entry.users === 0) {
      entry.watch[Symbol.dispose]();
      this.#watches.delete(watcher);
    }
    this.#stopIfUnused();
  }

  /** Whichever loop looks first takes it for all. */
  #deliver(): void {
    for (const info of this.#fd.read()) {
      for (const listener of this.#listeners) listener(info);
    }
    if (this.signo === SIGCHLD) childrenChanged();
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

/**
 * Calls `listener` for each such signal that the process receives, when the loop of `watcher`, or another one that listens
 * to it, asks the kernel.
 * @returns a function that ends the listening
 * Throws EINVAL for SIGKILL and SIGSTOP, and EOPNOTSUPP in a worker thread: the kernel delivers to the main one.
 */
export function listenToSignal(signo: number, watcher: Watcher, listener: (info: SignalInfo) => void): () => void {
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
