import { setTimeout } from 'node:timers/promises';

/** Between two looks at first, and later, in milliseconds: what takes long is not worth half a processor. */
const FIRST_PAUSE = 2;
const LONGEST_PAUSE = 10;

/** By how much of the time that it takes the pause grows. */
const GROWTH = 0.02;

/** Resolves as soon as `condition` holds; asks `every` so many milliseconds, for what no event tells of. By default less often later. */
export async function until(condition: () => boolean, every?: number): Promise<void> {
  for (const begin = performance.now(); !condition(); ) {
    const growing = Math.min(FIRST_PAUSE + GROWTH * (performance.now() - begin), LONGEST_PAUSE);
    await setTimeout(every ?? growing);
  }
}

/** The same, but rejects with a text that says why if it has not come to hold within `limit` milliseconds. */
export async function untilOr(
  limit: number,
  condition: () => boolean,
  complaint: () => string,
  every?: number,
): Promise<void> {
  const end = performance.now() + limit;
  await until(() => {
    if (condition()) return true;
    if (performance.now() > end) throw new Error(complaint());
    return false;
  }, every);
}
