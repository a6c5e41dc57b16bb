import type { ServeOptions } from '@sdrx/varlink';
import { Ledger, LedgerSlot } from './ledger.js';
import type { Limits } from './limits.js';
import type { Log } from './log.js';
import { LocalQuota, type Quota } from './quota.js';
import { SharedQuota } from './shared-quota.js';

/** What a worker lets its clients have, over all workers as far as those share a ledger. */
export interface WorkerQuotas {
  /** Its slot in the ledger; undefined where there is none. */
  readonly slot: LedgerSlot | undefined;
  /** Undefined where the server's own limits have to do. */
  readonly connections: Quota | undefined;
  /** Calls that are being worked on. */
  readonly calls: Quota;
  readonly helpers: Quota;
  /** Undefined where the server's own have to do. */
  readonly bars: ServeOptions['bars'];
}

/** @param number the slot that the manager has given to this worker, if so */
export function workerQuotas(
  runtimeDirectory: string,
  number: number | undefined,
  limits: Limits,
  log: Log,
): WorkerQuotas {
  const ledger = number === undefined ? undefined : Ledger.open(runtimeDirectory, process.ppid);
  if (number === undefined || ledger === undefined) {
    const [calls, helpers] = [new LocalQuota(limits.callsPerUser), new LocalQuota(limits.helpersPerUser)];
    return { slot: undefined, connections: undefined, calls, helpers, bars: undefined };
  }
  const slot = new LedgerSlot(ledger, number);
  const refused = (what: string) => (uid: number, reason: string) =>
    log.notice(`${what} of user ${uid} refused: ${reason}`);
  return {
    slot,
    connections: new SharedQuota(slot, 'connections', {
      perUser: limits.connectionsPerUser,
      inAll: limits.connections,
      exceptRoot: true,
      refused: refused('connection'),
    }),
    calls: new SharedQuota(slot, 'calls', { perUser: limits.callsPerUser, exceptRoot: true, refused: refused('call') }),
    helpers: new SharedQuota(slot, 'helpers', { perUser: limits.helpersPerUser, exceptRoot: true }),
    bars: { has: (uid) => ledger.isBarred(uid), add: (uid) => ledger.bar(uid) },
  };
}
