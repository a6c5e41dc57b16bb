import type { Watch } from '@sdrx/event';
import { EBADF, EPERM, EPOLLERR, EPOLLET, EPOLLHUP, EPOLLONESHOT, Fd, SystemError } from '@sdrx/linux';
import type { ReadyList, Telling } from './ready-list.js';

/** The first number of a virtual descriptor: no process has a real one of it. */
const FIRST = 1_000_000_000;

/** What is told whether it was asked for or not. */
const ALWAYS = EPOLLERR | EPOLLHUP;

/** What a virtual descriptor can be. */
export interface VirtualDescriptorOptions {
  /** Whether it can be waited for; true by default. That of a regular file can't, and `EventLoop.io` fails with EPERM. */
  readonly pollable?: boolean;
}

/** A descriptor that becomes ready when it is told to. */
export interface VirtualDescriptor extends Disposable {
  /** What `EventLoop.io` is given. */
  readonly number: number;
  /** What it is ready for now, an EPOLL* mask. */
  readonly revents: number;
  /** Whether it was closed, by its disposal or by a source that owned it. */
  readonly closed: boolean;
  /** It becomes ready for this, too. Said again, it is a new edge for those who asked for edges (EPOLLET). */
  ready(revents: number): void;
  /** It is ready for this no more: what there was to read was read, say. */
  unready(revents: number): void;
}

/** All of them. */
export class VirtualDescriptors {
  readonly #list: ReadyList;
  readonly #open = new Map<number, Descriptor>();
  #opened = 0;

  constructor(list: ReadyList) {
    this.#list = list;
  }

  open(pollable: boolean): VirtualDescriptor {
    const number = FIRST + this.#opened++;
    const descriptor = new Descriptor(number, pollable, this.#list, () => this.#open.delete(number));
    this.#open.set(number, descriptor);
    return descriptor;
  }

  /** The numbers of those that are open. */
  get left(): number[] {
    return [...this.#open.keys()];
  }

  watch(fd: number, events: number, ready: (revents: number) => void): Watch {
    const descriptor = this.#open.get(fd);
    if (descriptor === undefined)
      throw new SystemError(EBADF, 'epoll_ctl', `${fd}`, 'a virtual loop waits for descriptors of its own, no others');
    if (!descriptor.pollable) throw new SystemError(EPERM, 'epoll_ctl', `${fd}`);
    return descriptor.watch(events, ready);
  }

  /** What closes one, or a real one that somebody took for it. */
  take(fd: number): Disposable {
    return this.#open.get(fd) ?? new Fd(fd);
  }
}

/** A descriptor and who waits for it. */
export class Descriptor implements VirtualDescriptor {
  readonly number: number;
  readonly pollable: boolean;
  readonly #list: ReadyList;
  readonly #closed: () => void;
  readonly #watches = new Set<DescriptorWatch>();
  #revents = 0;
  #isClosed = false;

  constructor(number: number, pollable: boolean, list: ReadyList, closed: () => void) {
    this.number = number;
    this.pollable = pollable;
    this.#list = list;
    this.#closed = closed;
  }

  get revents(): number {
    return this.#revents;
  }

  get closed(): boolean {
    return this.#isClosed;
  }

  ready(revents: number): void {
    this.#revents |= revents;
    this.changed(revents);
  }

  unready(revents: number): void {
    this.#revents &= ~revents;
  }

  watch(events: number, ready: (revents: number) => void): Watch {
    const watch = new DescriptorWatch(this, this.#list, events, ready, () => {
      this.#watches.delete(watch);
      if (this.#watches.size === 0) this.unwatched();
    });
    this.#watches.add(watch);
    watch.changed();
    return watch;
  }

  [Symbol.dispose](): void {
    for (const watch of this.#watches) watch[Symbol.dispose]();
    this.#isClosed = true;
    this.#closed();
  }

  /** It has become ready for this. */
  protected changed(revents: number): void {
    for (const watch of this.#watches) if (watch.wants(revents)) watch.changed();
  }

  /** Nobody waits for it any more. */
  protected unwatched(): void {}
}

class DescriptorWatch implements Watch, Telling {
  readonly #descriptor: Descriptor;
  readonly #list: ReadyList;
  readonly #ready: (revents: number) => void;
  readonly #disposed: () => void;
  #events: number;
  /** Nothing is told: an EPOLLONESHOT was, or it is paused. */
  #isOff = false;
  #isPaused = false;
  /** It may be changed or paused still, as a real one may, but tells nothing any more. */
  #isDisposed = false;

  constructor(
    descriptor: Descriptor,
    list: ReadyList,
    events: number,
    ready: (revents: number) => void,
    disposed: () => void,
  ) {
    this.#descriptor = descriptor;
    this.#list = list;
    this.#events = events;
    this.#ready = ready;
    this.#disposed = disposed;
  }

  /** Whether it is told of any of these; nobody who waits for something else has an edge of them. */
  wants(revents: number): boolean {
    return (revents & (this.#events | ALWAYS)) !== 0;
  }

  /** The descriptor may be ready for something else. */
  changed(): void {
    if (this.#revents !== 0) this.#list.add(this);
  }

  change(events: number): void {
    this.#events = events;
    this.#isOff = false;
    this.changed();
  }

  pause(on: boolean): void {
    this.#isPaused = on;
    this.changed();
  }

  tell(): boolean {
    const revents = this.#revents;
    if (revents === 0) return false;
    if ((this.#events & EPOLLONESHOT) !== 0) this.#isOff = true;
    this.#ready(revents);
    // A level is told until it is gone, an edge once.
    return (this.#events & EPOLLET) === 0 && !this.#isOff;
  }

  [Symbol.dispose](): void {
    this.#isDisposed = true;
    this.#list.delete(this);
    this.#disposed();
  }

  get #revents(): number {
    return this.#isOff || this.#isPaused || this.#isDisposed ? 0 : this.#descriptor.revents & (this.#events | ALWAYS);
  }
}
