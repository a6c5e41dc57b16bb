import { setTimeout } from 'node:timers/promises';

/** Resolves as soon as `condition` holds; asks every two milliseconds, for what no event tells of. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await setTimeout(2);
}
