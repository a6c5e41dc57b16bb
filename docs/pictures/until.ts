import { setTimeout } from 'node:timers/promises';

/** Longer than anything here takes, in milliseconds. */
const LIMIT = 60_000;

/** Resolves when a condition holds; rejects when it does not come to hold. */
export async function until(condition: () => boolean, every = 1): Promise<void> {
  for (const end = performance.now() + LIMIT; !condition(); await setTimeout(every))
    if (performance.now() > end) throw new Error(`it does not come to be so: ${condition}`);
}
