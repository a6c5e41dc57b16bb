import type { Fd } from '@sdrx/linux';
import type { RefusalReason } from './limits.js';

/** What waits until its user may have another call. */
export interface Waiter {
  /** There may be one now. */
  resume(): void;
}

/** A connection that is refused. */
export interface Refused {
  readonly fd: Fd;
  readonly user: User;
  readonly reason: RefusalReason;
}

/** What one user has of a server at the moment. */
export class User {
  connections = 0;
  /** That are being worked on. */
  calls = 0;
  /** That began within the second that began with the first of them; not counted if there may be any number. */
  recentCalls = 0;
  /** That came from the user and are not closed or taken yet. */
  fds = 0;
  /** How many of these are being closed. */
  closing = 0;
  /** The last turn of the server in which any of the connections was looked at, and how many were. */
  turn = 0;
  turns = 0;
  /** Those that may not begin a call before another one has ended, in the order they came. */
  readonly waiting = new Set<Waiter>();
  /** New connections that are not served and wait to be told, in the order they came. */
  readonly refused = new Set<Refused>();

  /** @param uid who answers for the clients */
  constructor(readonly uid: number) {}
}

/** Who has anything of a server, by uid. */
export class Users {
  readonly #users = new Map<number, User>();

  get size(): number {
    return this.#users.size;
  }

  /** The one who has this uid. */
  of(uid: number): User {
    let user = this.#users.get(uid);
    if (user === undefined) {
      user = new User(uid);
      this.#users.set(uid, user);
    }
    return user;
  }

  /** Forgets one who has nothing any more. */
  settle({ uid, connections, calls, recentCalls, fds, closing, refused }: User): void {
    const has = connections + calls + recentCalls + fds + closing + refused.size;
    if (has === 0) this.#users.delete(uid);
  }
}
