import type { PendingSignal, SignalListener } from '@sdrx/event';
import { EINVAL, type Signal, type SignalInfo, SystemError, signalName, signalNumber } from '@sdrx/linux';
import type { ReadyList, Telling } from './ready-list.js';

/** What is told of a signal beside its number; as kill(2) by this process if nothing else is said. */
export type VirtualSignalInfo = Partial<Omit<SignalInfo, 'signo'>>;

/** The first one that is queued as often as it is sent. signal(7) */
const FIRST_REALTIME = signalNumber('SIGRTMIN');

/** Signals that are pending, and who listens to them. */
export class VirtualSignals {
  readonly #list: ReadyList;
  readonly #signals = new Map<number, PendingVirtualSignal>();

  constructor(list: ReadyList) {
    this.#list = list;
  }

  listen(signo: number, listener: SignalListener): () => void {
    if (signo === signalNumber('SIGKILL') || signo === signalNumber('SIGSTOP'))
      throw new SystemError(EINVAL, 'signal', signalName(signo));
    const signal = this.#signals.get(signo) ?? new PendingVirtualSignal(signo, this.#list);
    this.#signals.set(signo, signal);
    signal.listeners.add(listener);
    return () => {
      signal.listeners.delete(listener);
      if (signal.listeners.size > 0) return;
      this.#list.delete(signal);
      this.#signals.delete(signo);
    };
  }

  /** @throws Error where nobody listens: a process would end of most signals */
  send(which: Signal, info: VirtualSignalInfo): void {
    const signo = signalNumber(which);
    if (!this.raise(signo, info)) throw new Error(`nobody listens to ${signalName(signo)}`);
  }

  /** @returns false if nobody listens, and nothing happens */
  raise(signo: number, info: VirtualSignalInfo): boolean {
    const signal = this.#signals.get(signo);
    signal?.send({ signo, code: 0, pid: process.pid, uid: 0, value: 0, ...info });
    return signal !== undefined;
  }
}

class PendingVirtualSignal implements PendingSignal, Telling {
  readonly signo: number;
  readonly listeners = new Set<SignalListener>();
  readonly #list: ReadyList;
  readonly #queue: SignalInfo[] = [];

  constructor(signo: number, list: ReadyList) {
    this.signo = signo;
    this.#list = list;
  }

  send(info: SignalInfo): void {
    // Of a standard signal one is pending at a time.
    if (this.signo < FIRST_REALTIME && this.#queue.length > 0) return;
    this.#queue.push(info);
    this.#list.add(this);
  }

  deliver(limit = this.#queue.length): void {
    for (const info of this.#queue.splice(0, limit)) {
      for (const listener of this.listeners) listener.received(info);
    }
  }

  tell(): boolean {
    if (this.#queue.length === 0) return false;
    const [first] = this.listeners;
    first?.ready(this);
    return true;
  }
}
