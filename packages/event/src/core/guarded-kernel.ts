import type { ChildChange, Clock, InotifyRecord } from '@sdrx/linux';
import type { Alarm, Child, Kernel, SignalListener, WantedChanges, WantedPressure, Watch } from '../kernel/kernel.js';
import type { Attachment } from './attachment.js';
import type { SourceHandle } from './source-handle.js';

/**
 * The kernel as a source of a user's own has it. What one of its callbacks throws ends that source, as its error: the loop, which
 * is asking the kernel for all sources then, goes on.
 */
export class GuardedKernel implements Kernel {
  readonly #kernel: Kernel;
  readonly #fail: (error: unknown) => void;

  constructor(kernel: Kernel, fail: (error: unknown) => void) {
    this.#kernel = kernel;
    this.#fail = fail;
  }

  get forked(): boolean {
    return this.#kernel.forked;
  }

  now(clock: Clock): number {
    return this.#kernel.now(clock);
  }

  stopwatch(): number {
    return this.#kernel.stopwatch();
  }

  nextTurn(call: () => void): void {
    this.#kernel.nextTurn(this.#guard(call));
  }

  begin(wake: () => void): void {
    this.#kernel.begin(wake);
  }

  ask(): void {
    this.#kernel.ask();
  }

  alarm(clock: Clock, rings: () => void): Alarm {
    return this.#kernel.alarm(clock, this.#guard(rings));
  }

  watch(fd: number, events: number, ready: (revents: number) => void): Watch {
    return this.#kernel.watch(fd, events, this.#guard(ready));
  }

  takeFd(fd: number): Disposable {
    return this.#kernel.takeFd(fd);
  }

  signal(signo: number, listener: SignalListener): () => void {
    return this.#kernel.signal(signo, {
      ready: this.#guard((signal) => listener.ready(signal)),
      received: this.#guard((info) => listener.received(info)),
    });
  }

  child(which: Child, wanted: WantedChanges, source: SourceHandle<ChildChange>): Attachment<ChildChange> {
    return this.#kernel.child(which, wanted, source);
  }

  inotify(path: string | Uint8Array, mask: number, listener: (record: InotifyRecord) => void): () => void {
    return this.#kernel.inotify(path, mask, this.#guard(listener));
  }

  memoryPressure(wanted: WantedPressure, source: SourceHandle<void>): Attachment<void> {
    return this.#kernel.memoryPressure(wanted, source);
  }

  [Symbol.dispose](): void {
    this.#kernel[Symbol.dispose]();
  }

  #guard<A extends unknown[]>(callback: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        callback(...args);
      } catch (error) {
        this.#fail(error);
      }
    };
  }
}
