import { atLoad } from '@sdrx/linux';
import type { Quota } from './quota.js';

const ROOT = 0;

/** How many a user may take in a row and give back at once, and how many more each second. */
const BURST = 64;
const RATE = 8;

/** How long every further one counts as taken at least, in milliseconds. */
const PAUSE = 250;

/** After so long, in milliseconds, a user has the whole burst again. */
const RECOVERY = (1000 * BURST) / RATE;

/** How many a user had left at a time. */
interface Left {
  readonly count: number;
  readonly at: number;
}

/**
 * A quota whose places are given back late by a user who takes many in a row: for what costs so much that a user who asks for it
 * all the while would leave others little of the processors. Root never waits.
 */
export class PacedQuota implements Quota {
  readonly #quota: Quota;
  /** In the order of their last time. */
  readonly #left = new Map<number, Left>();

  constructor(quota: Quota) {
    this.#quota = quota;
  }

  take(uid: number): Disposable | undefined {
    const place = this.#quota.take(uid);
    if (place === undefined || uid === ROOT) return place;
    const now = atLoad.performanceNow();
    if (this.#spend(uid, now)) return place;
    return {
      [Symbol.dispose]: () => {
        const rest = now + PAUSE - atLoad.performanceNow();
        if (rest <= 0) place[Symbol.dispose]();
        else atLoad.setTimeout(() => place[Symbol.dispose](), rest).unref();
      },
    };
  }

  /** @returns whether the user had one left */
  #spend(uid: number, now: number): boolean {
    const { count, at } = this.#left.get(uid) ?? { count: BURST, at: now };
    const left = Math.min(BURST, count + ((now - at) * RATE) / 1000);
    this.#left.delete(uid);
    this.#forget(now);
    this.#left.set(uid, { count: Math.max(0, left - 1), at: now });
    return left >= 1;
  }

  #forget(now: number): void {
    for (const [uid, { at }] of this.#left) {
      if (now - at < RECOVERY) return;
      this.#left.delete(uid);
    }
  }
}
