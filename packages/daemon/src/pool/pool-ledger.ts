import type { Ledger } from '../limits/ledger.js';

/** The ledger, as far as the pool has to do with it. */
export type PoolLedger = Pick<Ledger, 'assign' | 'release' | 'beat' | 'condition' | 'accepted' | 'byUser'>;
