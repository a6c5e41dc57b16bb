import { duplicate, Epoll, type Fd, isSystemError } from '@sdrx/linux';

type Ready = (revents: number) => void;

/** One fd in the epoll set. */
export class Watch implements Disposable {
  #disposed = false;

  constructor(
    readonly fd: number,
    readonly token: number,
    readonly ready: Ready,
    readonly copy: Fd | undefined,
    readonly remove: (watch: Watch) => void,
  ) {}

  /** Ends the watching; once is enough. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.remove(this);
    this.copy?.close();
  }
}

/** The loop's one epoll instance and what is called when an fd in it becomes ready. */
export class Watcher implements Disposable {
  readonly #epoll = new Epoll();
  readonly #watches: (Watch | undefined)[] = [];
  readonly #free: number[] = [];
  /** Whose entry each fd in the epoll set is. */
  readonly #owners = new Map<number, Watch>();
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
   * Calls `ready` with an EPOLL* mask each time the kernel is asked and `fd` has one of `events`. The fd stays the
   * caller's, who disposes of the watch before closing it, or right after. Throws EPERM for an fd that can't be polled, EBADF.
   */
  watch(fd: number, events: number, ready: Ready): Watch {
    const token = this.#free.pop() ?? this.#watches.length;
    let copy: Fd | undefined;
    try {
      try {
        this.#epoll.add(fd, events, token);
      } catch (error) {
        // epoll(7) takes each fd once; a second subscription gets a descriptor of its own for the same open file.
        if (!isSystemError(error, 'EEXIST')) throw error;
        copy = duplicate(fd);
        this.#epoll.add(copy.number, events, token);
      }
    } catch (error) {
      copy?.close();
      this.#watches[token] ??= undefined;
      this.#free.push(token);
      throw error;
    }
    const watch = new Watch(copy?.number ?? fd, token, ready, copy, this.#remove);
    this.#watches[token] = watch;
    this.#owners.set(watch.fd, watch);
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

  [Symbol.dispose](): void {
    this.#epoll[Symbol.dispose]();
  }

  #remove = (watch: Watch): void => {
    // An fd that was closed left the epoll set by itself, and its number may already be another watch's.
    if (this.#owners.get(watch.fd) === watch) {
      this.#owners.delete(watch.fd);
      this.#epoll.remove(watch.fd);
    }
    this.#watches[watch.token] = undefined;
    this.#free.push(watch.token);
    this.#count--;
  };
}
