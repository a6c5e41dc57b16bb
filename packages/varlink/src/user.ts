/** What waits until its user may have another call. */
export interface Waiter {
  /** There may be one now. */
  resume(): void;
}

/** What one user has of a server at the moment. */
export class User {
  connections = 0;
  /** That are being worked on. */
  calls = 0;
  /** That came from the user and are not closed or taken yet. */
  fds = 0;
  /** How many of these are being closed. */
  closing = 0;
  /** Those that may not begin a call before another one has ended, in the order they came. */
  readonly waiting = new Set<Waiter>();

  /** @param uid who answers for the clients */
  constructor(readonly uid: number) {}
}

/** Who has anything of a server, by uid. */
export class Users {
  readonly #users = new Map<number, User>();

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
  settle(user: User): void {
    if (user.connections === 0 && user.calls === 0 && user.fds === 0 && user.closing === 0)
      this.#users.delete(user.uid);
  }
}
