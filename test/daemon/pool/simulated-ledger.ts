import type { Condition, PoolLedger } from '@sdrx/daemon';
import { ENOSPC, SystemError } from '@sdrx/linux';
import type { SimulatedWorker } from './simulated-worker.js';

/** What the workers of a simulation say of themselves. */
export class SimulatedLedger implements PoolLedger {
  readonly workers = new Map<number, SimulatedWorker>();
  /** How many connections each user has. */
  connections: ReadonlyMap<number, number> = new Map();
  /** How often there is no space for another slot. */
  refusals = 0;
  readonly #free: number[] = [];
  readonly #taken = new Set<number>();

  constructor(readonly now: () => number) {}

  /** How many slots are taken. */
  get size(): number {
    return this.#taken.size;
  }

  assign(): number {
    if (this.refusals > 0) {
      this.refusals--;
      throw new SystemError(ENOSPC, 'fallocate', 'ledger');
    }
    const slot = this.#free.pop() ?? this.#taken.size;
    this.#taken.add(slot);
    return slot;
  }

  release(slot: number): void {
    if (!this.#taken.delete(slot)) throw new Error(`slot ${slot} is nobody's`);
    this.workers.delete(slot);
    this.#free.push(slot);
  }

  beat(slot: number): number {
    const worker = this.workers.get(slot);
    if (worker === undefined || !worker.hasBegun) return 0;
    return (worker.silentSince ?? this.now()) | 1;
  }

  condition(slot: number): Condition {
    return this.workers.get(slot)?.condition ?? 'starting';
  }

  accepted(slot: number): number {
    return this.workers.get(slot)?.accepted ?? 0;
  }

  byUser(): Map<number, number> {
    return new Map(this.connections);
  }
}
