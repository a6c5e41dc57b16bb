import type { Ledger } from './ledger.js';
import type { Counted } from './ledger-format.js';
import type { LedgerSlot } from './ledger-slot.js';
import type { Quota } from './quota.js';

/** Its processes look up users for everybody, and act for others: it must not be they who are refused. */
const ROOT = 0;

export interface SharedQuotaOptions {
  /** How many one user may have at a time. */
  readonly perUser: number;
  /** Whether root is counted, but never refused. */
  readonly exceptRoot?: boolean;
  /** How many all users may have together; without limit unless given. */
  readonly inAll?: number;
  /** Is told whom something was refused, and why, in words for the log. */
  readonly refused?: (uid: number, reason: string) => void;
}

/**
 * A quota over all workers of a manager, by the ledger that they share.
 *
 * One is counted first and given back if that was one too many. So of two workers that do this at the same moment both may
 * refuse, at the very limit, but never both grant the last one.
 */
export class SharedQuota implements Quota {
  readonly #ledger: Ledger;

  constructor(
    readonly slot: LedgerSlot,
    readonly what: Counted,
    readonly options: SharedQuotaOptions,
  ) {
    this.#ledger = slot.ledger;
  }

  take(uid: number): Disposable | undefined {
    const { slot, what, options } = this;
    if (!slot.add(uid, what)) {
      options.refused?.(uid, 'this worker has no room for another user');
      return undefined;
    }
    const reason = this.#tooMany(uid);
    if (reason !== undefined) {
      slot.remove(uid, what);
      options.refused?.(uid, reason);
      return undefined;
    }
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) slot.remove(uid, what);
        held = false;
      },
    };
  }

  #tooMany(uid: number): string | undefined {
    const { what, options } = this;
    const { perUser, inAll = Number.POSITIVE_INFINITY, exceptRoot = false } = options;
    if (exceptRoot && uid === ROOT) return undefined;
    if (this.#ledger.of(uid, what) > perUser) return `the user has ${perUser} ${what}, the limit`;
    if (inAll !== Number.POSITIVE_INFINITY && this.#ledger.total(what) > inAll) {
      return `all users together have ${inAll} ${what}, the limit`;
    }
    return undefined;
  }
}
