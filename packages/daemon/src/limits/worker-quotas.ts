import type { ServeOptions } from '@sdrx/varlink';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import type { Accounts } from '../user/account.js';
import { Ledger } from './ledger.js';
import type { Counted } from './ledger-format.js';
import { LedgerSlot } from './ledger-slot.js';
import type { Limits } from './limits.js';
import { PacedQuota } from './paced-quota.js';
import { LocalQuota, type Quota, QuotaByAccount } from './quota.js';
import { SharedQuota, type SharedQuotaOptions } from './shared-quota.js';

/**
 * What a worker lets its clients have, over all workers as far as those share a ledger. Uids for which the same user answers have
 * it together.
 */
export interface WorkerQuotas {
  /** Its slot in the ledger; undefined where there is none. */
  readonly slot: LedgerSlot | undefined;
  /** Undefined where the server's own limits have to do. */
  readonly connections: Quota | undefined;
  /** Calls that are being worked on. */
  readonly calls: Quota;
  readonly helpers: Quota;
  /** By account. Undefined where the server's own have to do. */
  readonly bars: ServeOptions['bars'];
}

/** @param number the slot that the manager has given to this worker, if so */
export function workerQuotas(
  runtimeDirectory: string,
  number: number | undefined,
  limits: Limits,
  accounts: Accounts,
  log: Log,
): WorkerQuotas {
  const byAccount = (quota: Quota) => new QuotaByAccount(quota, accounts);
  const paced = (quota: Quota) => byAccount(new PacedQuota(quota));
  const ledger = number === undefined ? undefined : Ledger.open(runtimeDirectory, process.ppid);
  if (number === undefined || ledger === undefined) {
    const calls = byAccount(new LocalQuota(limits.callsPerUser));
    const helpers = paced(new LocalQuota(limits.helpersPerUser));
    return { slot: undefined, connections: undefined, calls, helpers, bars: undefined };
  }
  const slot = new LedgerSlot(ledger, number);
  const refused = (what: string) => (uid: number, reason: string) =>
    log.notice(`${what} of user ${uid} refused: ${reason}`, undefined, about('clientRefused', { USER_ID: uid }));
  const shared = (what: Counted, options: SharedQuotaOptions) =>
    new SharedQuota(slot, what, { ...options, exceptRoot: true });
  return {
    slot,
    connections: byAccount(
      shared('connections', {
        perUser: limits.connectionsPerUser,
        inAll: limits.connections,
        refused: refused('connection'),
      }),
    ),
    calls: byAccount(shared('calls', { perUser: limits.callsPerUser, refused: refused('call') })),
    helpers: paced(shared('helpers', { perUser: limits.helpersPerUser })),
    bars: { has: (uid) => ledger.isBarred(uid), add: (uid) => ledger.bar(uid) },
  };
}
