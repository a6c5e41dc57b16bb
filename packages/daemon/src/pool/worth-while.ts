import { isSystemError } from '@sdrx/linux';
import type { Log } from '../program/log.js';
import type { PoolLedger } from './pool-ledger.js';

/** So many connections make one more worker worth while; of one user no more are counted. */
const CONNECTIONS_PER_WORKER = 16;

/**
 * How many workers beside those that are always there are worth while for the connections that there are, at least one: what a
 * worker that asks for help could not answer may be gone by the time that it is looked at.
 */
export function worthWhile(ledger: PoolLedger, log: Log): number {
  try {
    let connections = 0;
    for (const count of ledger.byUser('connections').values()) connections += Math.min(count, CONNECTIONS_PER_WORKER);
    return Math.max(1, Math.ceil(connections / CONNECTIONS_PER_WORKER));
  } catch (error) {
    // No memory to look: no memory for another worker.
    if (!isSystemError(error)) throw error;
    log.warning('the ledger can not be read', error);
    return 0;
  }
}
