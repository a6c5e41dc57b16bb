import type { EventLoop } from '@sdrx/event';
import type { Subscription } from 'rxjs';
import type { PoolLedger } from './pool-ledger.js';
import type { PoolWorker } from './pool-worker.js';

/** How often it is looked who serves while others wait for that, in milliseconds. */
const LOOK_INTERVAL = 10;

/** A worker that does not serve after this time keeps nobody waiting any more, in milliseconds. */
const PATIENCE = 1000;

/**
 * Whose turn it is to begin. Five workers that begin at once on two processors are all late. So no more begin at a time than there
 * are processors, and one less until the first one serves, as the manager has to do, too. The others are there, and wait.
 */
export class StartTurns {
  /** When each began, in milliseconds on CLOCK_MONOTONIC. */
  readonly #beginning = new Map<PoolWorker, number>();
  /** In the order of their starts, with what lets each begin. */
  readonly #waiting = new Map<PoolWorker, () => void>();
  #looks: Subscription | undefined;
  #someServe = false;

  /** @param ledger where workers say that they serve; undefined for those of another program, of whom none waits */
  constructor(
    readonly loop: EventLoop,
    readonly ledger: PoolLedger | undefined,
    readonly processors: number,
  ) {}

  /** Whether who is started now is to wait. Without a slot it could not say that it serves. */
  areTaken(slot: number | undefined): boolean {
    return slot !== undefined && !this.#isFree();
  }

  /** @param begin lets it begin, if it waits */
  add(worker: PoolWorker, begin: (() => void) | undefined): void {
    if (begin === undefined) {
      if (worker.slot !== undefined) this.#beginning.set(worker, worker.startedAt);
      return;
    }
    this.#waiting.set(worker, begin);
    const looks = { every: LOOK_INTERVAL, description: 'turns of workers' };
    this.#looks ??= this.loop.time(looks).subscribe(() => this.#next());
  }

  waits(worker: PoolWorker): boolean {
    return this.#waiting.has(worker);
  }

  /** It has ended. */
  delete(worker: PoolWorker): void {
    this.#beginning.delete(worker);
    this.#waiting.get(worker)?.();
    this.#waiting.delete(worker);
    this.#stopIfIdle();
  }

  #next(): void {
    for (const [worker, begin] of this.#waiting) {
      if (!this.#isFree()) return;
      // It is to end, and is let go when it has.
      if (worker.dismissed) continue;
      this.#waiting.delete(worker);
      this.#beginning.set(worker, this.loop.now());
      begin();
    }
    this.#stopIfIdle();
  }

  #stopIfIdle(): void {
    if (this.#waiting.size > 0) return;
    this.#looks?.unsubscribe();
    this.#looks = undefined;
  }

  #isFree(): boolean {
    const now = this.loop.now();
    for (const [worker, since] of this.#beginning) {
      const serves = worker.slot === undefined || this.ledger?.condition(worker.slot) !== 'starting';
      this.#someServe ||= serves;
      if (serves || worker.dismissed || now - since > PATIENCE) this.#beginning.delete(worker);
    }
    return this.#beginning.size < Math.max(1, this.processors - (this.#someServe ? 0 : 1));
  }
}
