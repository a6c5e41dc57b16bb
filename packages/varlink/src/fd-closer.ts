import {
  atLoad,
  beforeSpawn,
  type ClosingThread,
  close,
  closeInThreads,
  closesAtOnce,
  isSystemError,
  MAX_PASSED_FDS,
  putInFlight,
  shutdown,
  unreadBytes,
} from '@sdrx/linux';

/** While more descriptors of a user than this are being closed, nothing is read from that user. */
export const MOST_CLOSING = 16;

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

/** A descriptor to be closed by a thread. */
interface Task<O> {
  readonly owner: O;
  readonly fd: number;
  /** How many sockets are closed with it. */
  readonly count: number;
}

/** One that is being closed. */
interface Closing<O> {
  readonly task: Task<O>;
  readonly thread: ClosingThread;
  readonly since: number;
  stuck: boolean;
}

/** What a closer tells. */
export interface FdCloserEvents<O> {
  /** So many of this owner's are closed. */
  closed(owner: O, count: number): void;
  /** One of this owner's takes longer than a second. */
  stuck(owner: O): void;
}

/**
 * Closes descriptors that clients sent, and connections, where it costs nobody else if the kernel does not come back from that. A
 * namespace's is closed at once, as nothing of it can hang; all others are in threads of their own, a few at a time, but all
 * that are left before a process is started: one that inherited them would hang in turn, and we with it. One thread closes all
 * connections of a user that ended at about the same time, with what nobody read of them; if it hangs, the next ones wait for it.
 *
 * It goes on when its server is gone, until all are closed; nothing waits for it.
 */
export class FdCloser<O extends Owner> {
  readonly #events: FdCloserEvents<O>;
  readonly #closing = new Set<Closing<O>>();
  /** Those that no thread was started for yet. */
  readonly #waiting: Task<O>[] = [];
  /** Connections that are closed at the next look. */
  readonly #retired = new Map<O, number[]>();
  /** Those of users for whom a thread hangs. */
  readonly #parked = new Map<O, Task<O>[]>();
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
    let hasTask = false;
    for (const fd of fds) {
      if (closesAtOnce(fd)) {
        close(fd);
        this.#events.closed(owner, 1);
      } else {
        this.#waiting.push({ owner, fd, count: 1 });
        hasTask = true;
      }
    }
    if (!hasTask) return;
    this.#start(AT_ONCE - this.#started);
    this.#soon();
  }

  /** Closes a connection. The client sees it closed when this returns. */
  retire(owner: O, fd: number): void {
    if (isDrained(fd)) {
      close(fd);
      this.#events.closed(owner, 1);
      return;
    }
    const retired = this.#retired.get(owner);
    if (retired === undefined) this.#retired.set(owner, [fd]);
    else retired.push(fd);
    this.#soon();
  }

  /** Makes tasks of the connections. One that a process inherits does not make it hang, so these need not be closed before. */
  #bundle(): void {
    for (const [owner, fds] of this.#retired) {
      const parked = this.#parked.get(owner);
      const least = parked === undefined ? 1 : MAX_PASSED_FDS;
      while (fds.length >= least) (parked ?? this.#waiting).push(...tasksFor(owner, fds.splice(0, MAX_PASSED_FDS)));
      if (fds.length === 0) this.#retired.delete(owner);
    }
  }

  #start(most: number): void {
    const next = this.#waiting.splice(0, Math.max(0, most));
    const threads = closeInThreads(next.map(({ fd }) => fd));
    const since = atLoad.performanceNow();
    for (const [index, thread] of threads.entries()) {
      this.#closing.add({ task: next[index] as Task<O>, thread, since, stuck: false });
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

  #soon(): void {
    this.#pause = SHORTEST_PAUSE;
    this.#arm();
  }

  #arm(): void {
    if (this.#timer !== undefined) return;
    if (this.#closing.size === 0 && this.#waiting.length === 0 && this.#retired.size === 0) return;
    this.#timer = atLoad.setTimeout(() => this.#look(), this.#pause).unref();
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #look(): void {
    this.#timer = undefined;
    const now = atLoad.performanceNow();
    for (const each of this.#closing) {
      if (each.thread.ended) this.#ended(each);
      else if (!each.stuck && now - each.since > STUCK) this.#hangs(each);
    }
    this.#started = 0;
    this.#bundle();
    if (this.#waiting.length > 0) {
      this.#start(AT_ONCE);
      this.#pause = SHORTEST_PAUSE;
    }
    this.#arm();
  }

  #hangs(closing: Closing<O>): void {
    closing.stuck = true;
    const { owner } = closing.task;
    if (!this.#parked.has(owner)) this.#parked.set(owner, []);
    this.#events.stuck(owner);
  }

  #ended(closing: Closing<O>): void {
    this.#closing.delete(closing);
    const { owner, count } = closing.task;
    if (closing.stuck) {
      this.#waiting.push(...(this.#parked.get(owner) ?? []));
      this.#parked.delete(owner);
    }
    this.#events.closed(owner, count);
  }
}

/** One task for all of the sockets, or one for each if the kernel has no room for that. */
function tasksFor<O>(owner: O, sockets: readonly number[]): Task<O>[] {
  if (sockets.length > 1) {
    try {
      return [{ owner, fd: putInFlight(sockets).take(), count: sockets.length }];
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
  }
  return sockets.map((fd) => ({ owner, fd, count: 1 }));
}

/** Whether nothing is in a connection's socket that would be dropped with it, and might hang. Nothing more comes into it. */
function isDrained(fd: number): boolean {
  try {
    shutdown(fd);
    return unreadBytes(fd) === 0;
  } catch {
    return false;
  }
}
