import {
  atLoad,
  type ChildChange,
  type Clock,
  EPOLLIN,
  Fd,
  IN_EXCL_UNLINK,
  type InotifyRecord,
  isForked,
  NodePoll,
  now,
  TimerFd,
} from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';
import { InotifyHub } from './inotify-hub.js';
import type { Alarm, Child, Kernel, SignalListener, WantedChanges, WantedPressure, Watch } from './kernel.js';
import { watchMemoryPressure } from './memory-pressure-file.js';
import { listenToSignal } from './received-signal.js';
import { watchChild } from './watched-child.js';
import { Watcher } from './watcher.js';

/** Linux, by one epoll instance inside Node's loop, which watches one fd for us and only while the loop runs. */
export class LinuxKernel implements Kernel {
  /** The files that are watched. */
  readonly #inotify = new InotifyHub();
  /** Those of sources with IN_EXCL_UNLINK. */
  readonly #exclusiveInotify = new InotifyHub(IN_EXCL_UNLINK);
  #watcher: Watcher | undefined;
  #poll: NodePoll | undefined;

  get forked(): boolean {
    return isForked();
  }

  now(clock: Clock): number {
    return now(clock);
  }

  stopwatch(): number {
    return atLoad.performanceNow();
  }

  nextTurn(call: () => void): void {
    atLoad.setImmediate(call);
  }

  begin(wake: () => void): void {
    this.#poll = new NodePoll(this.#fds.fd, wake);
  }

  ask(): void {
    const watcher = this.#watcher;
    if (watcher !== undefined && !watcher.empty) watcher.poll();
  }

  alarm(clock: Clock, rings: () => void): Alarm {
    return new TimerFdAlarm(clock, this.#fds, rings);
  }

  watch(fd: number, events: number, ready: (revents: number) => void): Watch {
    return this.#fds.watch(fd, events, ready);
  }

  takeFd(fd: number): Disposable {
    return new Fd(fd);
  }

  signal(signo: number, listener: SignalListener): () => void {
    return listenToSignal(signo, this.#fds, listener);
  }

  child(which: Child, wanted: WantedChanges, observer: SourceHandle<ChildChange>): Attachment<ChildChange> {
    return watchChild(this.#fds, which, wanted, observer);
  }

  inotify(path: string | Uint8Array, mask: number, listener: (record: InotifyRecord) => void): () => void {
    const hub = (mask & IN_EXCL_UNLINK) === 0 ? this.#inotify : this.#exclusiveInotify;
    return hub.listen(path, mask, this.#fds, listener);
  }

  memoryPressure(wanted: WantedPressure, observer: SourceHandle<void>): Attachment<void> {
    return watchMemoryPressure(this.#fds, wanted, observer);
  }

  [Symbol.dispose](): void {
    this.#poll?.[Symbol.dispose]();
    this.#watcher?.[Symbol.dispose]();
  }

  get #fds(): Watcher {
    this.#watcher ??= new Watcher();
    return this.#watcher;
  }
}

class TimerFdAlarm implements Alarm {
  readonly #fd: TimerFd;
  readonly #watch: Watch;

  constructor(clock: Clock, watcher: Watcher, rings: () => void) {
    const fd = new TimerFd(clock);
    this.#fd = fd;
    this.#watch = watcher.watch(fd.fd, EPOLLIN, () => {
      fd.acknowledge();
      rings();
    });
  }

  set(at: number): void {
    this.#fd.arm(at);
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#fd[Symbol.dispose]();
  }
}
