import { setTimeout } from 'node:timers/promises';

/** Resolves as soon as `condition` holds; asks `every` so many milliseconds, for what no event tells of. */
export async function until(condition: () => boolean, every = 2): Promise<void> {
  while (!condition()) await setTimeout(every);
}

/** The same, but rejects with a text that says why if it has not come to hold within `limit` milliseconds. */
export async function untilOr(
  limit: number,
  condition: () => boolean,
  complaint: () => string,
  every = 2,
): Promise<void> {
  const end = performance.now() + limit;
  await until(() => {
    if (condition()) return true;
    if (performance.now() > end) throw new Error(complaint());
    return false;
  }, every);
}
