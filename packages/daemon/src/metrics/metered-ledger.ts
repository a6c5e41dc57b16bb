import type { PoolLedger } from '../pool/pool-ledger.js';
import type { CallLedger } from './call-ledger.js';

/** A ledger of whose workers more is counted: what they have counted stays when their slots are given to others. */
export function meteredLedger(ledger: PoolLedger, calls: CallLedger): PoolLedger {
  return {
    assign: () => {
      const slot = ledger.assign();
      try {
        if (slot !== undefined) calls.prepare(slot);
        return slot;
      } catch (error) {
        if (slot !== undefined) ledger.release(slot);
        throw error;
      }
    },
    release: (slot) => {
      calls.keep(slot);
      ledger.release(slot);
    },
    beat: (slot) => ledger.beat(slot),
    condition: (slot) => ledger.condition(slot),
    accepted: (slot) => ledger.accepted(slot),
    byUser: (what) => ledger.byUser(what),
  };
}
