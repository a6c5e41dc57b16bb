import { type ClosingThread, close, closeInThreads, closesAtOnce } from '@sdrx/linux';

/** After this time closing is taken to hang, in milliseconds. */
const STUCK = 1000;

/** How often to look whether threads have ended: at first, and at last, in milliseconds. */
const SHORTEST_PAUSE = 1;
const LONGEST_PAUSE = 100;

/** Users who made closing a descriptor hang. */
export interface Bars {
  has(uid: number): boolean;
  add(uid: number): void;
}

/** Whose descriptors are closed. */
export interface Owner {
  readonly uid: number;
}

/** One descriptor that is being closed. */
interface Closing<O> {
  readonly owner: O;
  readonly thread: ClosingThread;
  readonly since: number;
  stuck: boolean;
}

/** What a closer tells. */
export interface FdCloserEvents<O> {
  /** One of this owner's is closed. */
  closed(owner: O): void;
  /** One of this owner's takes longer than a second. */
  stuck(owner: O): void;
}

/**
 * Closes descriptors that clients sent, where it costs nobody else if the kernel does not come back from that. A namespace's
 * is closed at once, as nothing of it can hang; all others are in threads of their own. None of them is in the process's table
 * any more when `close` returns, so no process that is started inherits one.
 *
 * It goes on when its server is gone, until all are closed; nothing waits for it.
 */
export class FdCloser<O extends Owner> {
  readonly #events: FdCloserEvents<O>;
  readonly #closing = new Set<Closing<O>>();
  /** Those that no thread could be had for. */
  #waiting: { readonly owner: O; readonly fd: number }[] = [];
  #pause = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(events: FdCloserEvents<O>) {
    this.#events = events;
  }

  /** Closes what a client sent. */
  close(owner: O, fds: readonly number[]): void {
    const rest: number[] = [];
    for (const fd of fds) {
      if (closesAtOnce(fd)) {
        close(fd);
        this.#events.closed(owner);
      } else {
        rest.push(fd);
      }
    }
    this.closeInThreads(owner, rest);
  }

  /** Closes what may hang whatever it looks like. */
  closeInThreads(owner: O, fds: readonly number[]): void {
    if (fds.length === 0) return;
    const threads = closeInThreads(fds);
    const since = performance.now();
    for (const thread of threads) this.#closing.add({ owner, thread, since, stuck: false });
    for (const fd of fds.slice(threads.length)) this.#waiting.push({ owner, fd });
    this.#pause = SHORTEST_PAUSE;
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined || (this.#closing.size === 0 && this.#waiting.length === 0)) return;
    this.#timer = setTimeout(() => this.#look(), this.#pause).unref();
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const each of this.#closing) {
      if (each.thread.ended) {
        this.#closing.delete(each);
        this.#events.closed(each.owner);
      } else if (!each.stuck && now - each.since > STUCK) {
        each.stuck = true;
        this.#events.stuck(each.owner);
      }
    }
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { owner, fd } of waiting) this.closeInThreads(owner, [fd]);
    this.#arm();
  }
}
