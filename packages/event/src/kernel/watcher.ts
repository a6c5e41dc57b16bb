import { duplicate, Epoll, type Fd, isSystemError } from '@sdrx/linux';
import type { Watch } from './kernel.js';
import { mayTellOnce, OnceWatch } from './once-watch.js';

type Ready = (revents: number) => void;

/** One fd in the loop's epoll set. */
class Entry implements Watch {
  readonly fd: number;
  readonly token: number;
  readonly ready: Ready;
  readonly #watcher: Watcher;
  /** A descriptor of our own for the same open file. */
  readonly #copy: Fd | undefined;
  #events: number;
  #paused = false;
  #disposed = false;

  constructor(watcher: Watcher, fd: number, copy: Fd | undefined, token: number, events: number, ready: Ready) {
    this.#watcher = watcher;
    this.fd = fd;
    this.#copy = copy;
    this.token = token;
    this.#events = events;
    this.ready = ready;
  }

  get paused(): boolean {
    return this.#paused;
  }

  change(events: number): void {
    this.#events = events;
    if (!this.#paused) this.#watcher.modify(this, events);
  }

  pause(on: boolean): void {
    if (this.#paused === on || this.#disposed) return;
    this.#paused = on;
    if (on) this.#watcher.suspend(this);
    else this.#watcher.resume(this, this.#events);
  }

  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#watcher.remove(this);
    this.#copy?.close();
  }
}

/** The loop's one epoll instance and what is called when an fd in it becomes ready. */
export class Watcher implements Disposable {
  readonly #epoll = new Epoll();
  readonly #watches: (Entry | undefined)[] = [];
  readonly #free: number[] = [];
  /** Whose entry each fd in the epoll set is. Not a Map: with one key that comes and goes it takes the longer the larger it is. */
  readonly #owners: (Entry | undefined)[] = [];
  #count = 0;

  /** The epoll instance itself, readable when any of the fds is ready. */
  get fd(): number {
    return this.#epoll.fd;
  }

  /** Whether there is anything to ask the kernel about. */
  get empty(): boolean {
    return this.#count === 0;
  }

  /**
   * Calls `ready` with an EPOLL* mask each time the kernel is asked and `fd` has one of `events`. The fd stays the caller's, who
   * disposes of the watch before closing it, or right after.
   * @throws EPERM for an fd that can't be polled, EBADF
   */
  watch(fd: number, events: number, ready: Ready): Watch {
    if (mayTellOnce(fd, events)) return new OnceWatch(fd, events, ready);
    const token = this.#free.pop() ?? this.#watches.length;
    let copy: Fd | undefined;
    try {
      // epoll(7) takes each fd once; a second subscription gets a descriptor of its own for the same open file. So it does
      // while the first one is paused, which needs the place again.
      if (this.#owners[fd]?.paused || !this.#add(fd, events, token)) {
        copy = duplicate(fd);
        this.#epoll.add(copy.number, events, token);
      }
    } catch (error) {
      copy?.close();
      this.#watches[token] ??= undefined;
      this.#free.push(token);
      throw error;
    }
    const watch = new Entry(this, copy?.number ?? fd, copy, token, events, ready);
    this.#watches[token] = watch;
    this.#owners[watch.fd] = watch;
    this.#count++;
    return watch;
  }

  /** Asks the kernel what is ready, without waiting, and calls back for each. */
  poll(): void {
    // Nothing that is called back here runs a user's code, so no watch comes or goes meanwhile.
    const count = this.#epoll.poll();
    for (let index = 0; index < count; index++) {
      this.#watches[this.#epoll.data(index)]?.ready(this.#epoll.revents(index));
    }
  }

  /** For `Entry`: changes what to wait for. */
  modify(watch: Entry, events: number): void {
    if (this.#owns(watch)) this.#epoll.modify(watch.fd, events, watch.token);
  }

  /** For `Entry`: leaves the epoll set for a while. */
  suspend(watch: Entry): void {
    if (this.#owns(watch)) this.#epoll.remove(watch.fd);
  }

  /** For `Entry`: enters the epoll set again. */
  resume(watch: Entry, events: number): void {
    if (this.#owns(watch)) this.#epoll.add(watch.fd, events, watch.token);
  }

  /** For `Entry`: forgets it. */
  remove(watch: Entry): void {
    if (this.#owns(watch)) {
      this.#owners[watch.fd] = undefined;
      this.#epoll.remove(watch.fd);
    }
    this.#watches[watch.token] = undefined;
    this.#free.push(watch.token);
    this.#count--;
  }

  [Symbol.dispose](): void {
    this.#epoll[Symbol.dispose]();
  }

  /** @returns false when the epoll set has the fd already */
  #add(fd: number, events: number, token: number): boolean {
    try {
      this.#epoll.add(fd, events, token);
      return true;
    } catch (error) {
      if (isSystemError(error, 'EEXIST')) return false;
      throw error;
    }
  }

  /** An fd that was closed left the epoll set by itself, and its number may already be another watch's. */
  #owns(watch: Entry): boolean {
    return this.#owners[watch.fd] === watch;
  }
}
