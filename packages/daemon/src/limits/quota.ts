import type { Accounts } from '../user/account.js';

/** Counts what each user has of something of which there is only so much. */
export interface Quota {
  /**
   * Takes one for a user.
   * @returns what gives it back when it is disposed of; undefined when the user has as many as allowed
   */
  take(uid: number): Disposable | undefined;
}

/** A quota within one process. */
export class LocalQuota implements Quota {
  readonly #taken = new Map<number, number>();

  /** @param limit how many one user may have at a time */
  constructor(readonly limit: number) {}

  take(uid: number): Disposable | undefined {
    const taken = this.#taken.get(uid) ?? 0;
    if (taken >= this.limit) return undefined;
    this.#taken.set(uid, taken + 1);
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#giveBack(uid);
        held = false;
      },
    };
  }

  #giveBack(uid: number): void {
    const left = (this.#taken.get(uid) ?? 0) - 1;
    if (left > 0) this.#taken.set(uid, left);
    else this.#taken.delete(uid);
  }
}

/** A quota that all uids have together for which the same user answers. */
export class QuotaByAccount implements Quota {
  /** @param accounts tell who answers for a uid */
  constructor(
    readonly quota: Quota,
    readonly accounts: Pick<Accounts, 'of'>,
  ) {}

  take(uid: number): Disposable | undefined {
    return this.quota.take(this.accounts.of(uid));
  }
}
