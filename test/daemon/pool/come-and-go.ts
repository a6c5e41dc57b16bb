import fc from 'fast-check';
import { happen, type PoolEvent, poolEvents, shortFates } from './pool-events.js';
import { PoolWorld } from './pool-world.js';

/** So many are asked for in a window of starts, which is as many as there may be. */
const BURST = 250;
const WINDOW = 2000;

/** How many different workers and events there are; they come again and again. */
const FATES = 997;
const EVENTS = 499;

/** What has come of it. */
export interface Balance {
  readonly started: number;
  /** How many were there at the same time, at most. */
  readonly most: number;
  /** How much time passed in that world, in milliseconds. */
  readonly time: number;
  /** How often a pool has given up, so that another one began. */
  readonly givenUp: number;
}

/** Has so many workers come and go, by one pool unless that gives up. Throws Error with the rules that are not kept. */
export async function comeAndGo(count: number, seed: number): Promise<Balance> {
  const fates = fc.sample(shortFates, { seed, numRuns: FATES });
  const events = fc.sample(poolEvents, { seed, numRuns: EVENTS }).filter(isLocal);
  let [started, most, time, givenUp] = [0, 0, 0, 0];
  let round = 0;
  while (started < count) {
    // The first workers stay, so that the pool has no reason to give up.
    const world = new PoolWorld({ maximum: 4096, foreign: false });
    await world.settle();
    world.fates = fates;
    while (world.givenUp === undefined && started + world.rules.started < count) {
      const event = events[round++ % events.length];
      if (event !== undefined) await happen(world, event);
      await world.grow(BURST, undefined);
      most = Math.max(most, world.pool.size);
      await world.pass(WINDOW);
    }
    started += world.rules.started;
    time += world.loop.now();
    if (world.givenUp !== undefined) givenUp++;
    await world.stop();
  }
  return { started, most, time, givenUp };
}

/** Whether an event leaves most of the workers alone. */
function isLocal({ event }: PoolEvent): boolean {
  return event !== 'many workers end' && event !== 'other workers from now on' && event !== 'time passes';
}
