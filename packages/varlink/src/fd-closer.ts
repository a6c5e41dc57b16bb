import { ClosingThread, close, isNamespace, isSystemError } from '@sdrx/linux';

/** How many descriptors of one user are being closed at a time. */
const THREADS_PER_USER = 4;

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

/** One descriptor that is being closed. */
interface Closing {
  readonly thread: ClosingThread;
  readonly since: number;
  stuck: boolean;
}

/** What is to be closed of one user's. */
interface Backlog {
  readonly uid: number;
  readonly waiting: { readonly fd: number; readonly closed: () => void }[];
  /** How many of `waiting` have had their turn. */
  next: number;
  readonly closing: Set<Closing & { readonly closed: () => void }>;
}

/**
 * Closes descriptors that clients sent, where it costs nobody else if the kernel does not come back from that. A namespace's
 * is closed at once, as nothing of it can hang; all others are in threads of their own, a few at a time for each user.
 *
 * It goes on when its server is gone, until all are closed; nothing waits for it.
 */
export class FdCloser {
  readonly #stuck: (uid: number) => void;
  readonly #backlogs = new Map<number, Backlog>();
  #pause = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param stuck is told of each descriptor that takes longer than a second to close */
  constructor(stuck: (uid: number) => void) {
    this.#stuck = stuck;
  }

  /** How many descriptors of a user's are not closed yet, or not known to be. */
  backlog(uid: number): number {
    const backlog = this.#backlogs.get(uid);
    return backlog === undefined ? 0 : backlog.waiting.length - backlog.next + backlog.closing.size;
  }

  /** Closes what a client sent. @param closed is told when that is done */
  close(uid: number, fd: number, closed: () => void): void {
    if (isNamespace(fd)) {
      close(fd);
      closed();
    } else {
      this.closeInThread(uid, fd, closed);
    }
  }

  /** Closes what may hang whatever it looks like. */
  closeInThread(uid: number, fd: number, closed: () => void): void {
    let backlog = this.#backlogs.get(uid);
    if (backlog === undefined) {
      backlog = { uid, waiting: [], next: 0, closing: new Set() };
      this.#backlogs.set(uid, backlog);
    }
    backlog.waiting.push({ fd, closed });
    this.#start(backlog);
    this.#pause = SHORTEST_PAUSE;
    this.#arm();
  }

  #start(backlog: Backlog): void {
    const { waiting, closing } = backlog;
    while (backlog.next < waiting.length && closing.size < THREADS_PER_USER) {
      const { fd, closed } = waiting[backlog.next] as { fd: number; closed: () => void };
      try {
        closing.add({ thread: new ClosingThread(fd), since: performance.now(), stuck: false, closed });
      } catch (error) {
        // No more threads now; there are when others have ended.
        if (!isSystemError(error, 'EAGAIN', 'ENOMEM')) throw error;
        return;
      }
      backlog.next++;
    }
    // Not each time, as that moves all the others.
    if (backlog.next * 2 > waiting.length) {
      waiting.splice(0, backlog.next);
      backlog.next = 0;
    }
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#backlogs.size === 0) return;
    this.#timer = setTimeout(() => this.#look(), this.#pause).unref();
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
  }

  #look(): void {
    this.#timer = undefined;
    const now = performance.now();
    for (const backlog of this.#backlogs.values()) {
      for (const each of backlog.closing) {
        if (each.thread.ended) {
          backlog.closing.delete(each);
          each.closed();
          this.#pause = SHORTEST_PAUSE;
        } else if (!each.stuck && now - each.since > STUCK) {
          each.stuck = true;
          this.#stuck(backlog.uid);
        }
      }
      this.#start(backlog);
      if (backlog.closing.size === 0 && backlog.waiting.length === 0) this.#backlogs.delete(backlog.uid);
    }
    this.#arm();
  }
}
