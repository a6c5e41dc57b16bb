import { beforeSpawn, type ClosingThread, close, closeInThreads, closesAtOnce } from '@sdrx/linux';

/** After this time closing is taken to hang, in milliseconds. */
const STUCK = 1000;

/** How many threads are started in a row, between two looks: so many that others hardly notice. */
const AT_ONCE = 8;

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
 * is closed at once, as nothing of it can hang; all others are in threads of their own, a few at a time, but all that are left
 * before a process is started: one that inherited them would hang in turn, and we with it.
 *
 * It goes on when its server is gone, until all are closed; nothing waits for it.
 */
export class FdCloser<O extends Owner> {
  readonly #events: FdCloserEvents<O>;
  readonly #closing = new Set<Closing<O>>();
  /** Those that no thread was started for yet. */
  readonly #waiting: { readonly owner: O; readonly fd: number }[] = [];
  /** How many threads were started since the last look. */
  #started = 0;
  #hook: Disposable | undefined;
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
    for (const fd of fds) this.#waiting.push({ owner, fd });
    this.#start(AT_ONCE - this.#started);
    this.#pause = SHORTEST_PAUSE;
    this.#arm();
  }

  #start(most: number): void {
    const next = this.#waiting.splice(0, Math.max(0, most));
    const threads = closeInThreads(next.map(({ fd }) => fd));
    const since = performance.now();
    for (const [index, thread] of threads.entries()) {
      this.#closing.add({ owner: (next[index] as { owner: O }).owner, thread, since, stuck: false });
    }
    this.#started += threads.length;
    // There may be no more threads now; there are when others have ended.
    if (threads.length < next.length) this.#waiting.unshift(...next.slice(threads.length));
    if (this.#waiting.length > 0) {
      this.#hook ??= beforeSpawn(() => this.#start(this.#waiting.length));
    } else {
      this.#hook?.[Symbol.dispose]();
      this.#hook = undefined;
    }
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
    this.#started = 0;
    if (this.#waiting.length > 0) {
      this.#start(AT_ONCE);
      this.#pause = SHORTEST_PAUSE;
    }
    this.#arm();
  }
}
