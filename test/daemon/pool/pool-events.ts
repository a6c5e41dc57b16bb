import type { Condition } from '@sdrx/daemon';
import { EAGAIN, EMFILE, ENOENT, ENOMEM, SystemError } from '@sdrx/linux';
import fc from 'fast-check';
import type { PoolWorld, WorldOptions } from './pool-world.js';
import type { End, Fate } from './simulated-worker.js';

/** Something that happens in a world of the pool. Who is meant is told by a number, modulo how many there are. */
export type PoolEvent =
  | { readonly event: 'time passes'; readonly milliseconds: number }
  | { readonly event: 'SIGUSR2'; readonly times: number; readonly by: number | 'somebody else' }
  | { readonly event: 'a worker ends'; readonly which: number; readonly end: End }
  | { readonly event: 'many workers end'; readonly but: number; readonly end: End }
  | { readonly event: 'other workers from now on'; readonly fates: readonly Fate[] }
  | { readonly event: 'starts are refused'; readonly errno: number; readonly times: number }
  | { readonly event: 'watches are refused'; readonly times: number }
  | { readonly event: 'lists of children are refused'; readonly times: number }
  | { readonly event: 'slots are refused'; readonly times: number }
  | { readonly event: 'a worker falls silent'; readonly which: number }
  | { readonly event: 'a worker says'; readonly which: number; readonly condition: Condition }
  | { readonly event: 'connections'; readonly users: number; readonly wait: boolean };

const some = (most: number) => fc.integer({ min: 1, max: most });

const ends: fc.Arbitrary<End> = fc.oneof(
  fc.record({ code: fc.constant('exited' as const), status: fc.constantFrom(0, 1, 255) }),
  fc.record({ code: fc.constant('killed' as const), status: fc.constantFrom(1, 9, 15) }),
  fc.record({ code: fc.constant('dumped' as const), status: fc.constantFrom(6, 11) }),
);

const fates: fc.Arbitrary<Fate> = fc.record({
  after: fc.oneof(
    fc.constant(undefined),
    fc.constant(0),
    fc.constantFrom(1, 99, 100),
    fc.nat({ max: 500 }),
    fc.nat({ max: 20_000 }),
  ),
  end: ends,
  obeys: fc.constantFrom('all', 'all', 'all', 'kill', 'none'),
  begins: fc.constantFrom(true, true, true, true, false),
  orphans: fc.constantFrom(0, 0, 0, 1, 2),
});

/** Workers that end by themselves within four seconds, many at a time, and leave nothing that hangs for ever. */
export const shortFates: fc.Arbitrary<Fate> = fc
  .record({ fate: fates, steps: fc.nat({ max: 80 }) })
  .map(({ fate, steps }) => ({ ...fate, after: steps * 50, orphans: fate.obeys === 'none' ? 0 : fate.orphans }));

/** Any event, so that each kind comes often enough. */
export const poolEvents: fc.Arbitrary<PoolEvent> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      event: fc.constant('time passes' as const),
      milliseconds: fc.oneof(some(50), some(2500), some(30_000)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      event: fc.constant('SIGUSR2' as const),
      times: fc.oneof(some(10), some(300)),
      by: fc.oneof(fc.nat(), fc.constant('somebody else' as const)),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ event: fc.constant('a worker ends' as const), which: fc.nat(), end: ends }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      event: fc.constant('many workers end' as const),
      but: fc.constantFrom(0, 0, 1, 2),
      end: ends,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      event: fc.constant('other workers from now on' as const),
      fates: fc.array(fates, { minLength: 1, maxLength: 6 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      event: fc.constant('starts are refused' as const),
      errno: fc.constantFrom(EAGAIN, ENOMEM, EMFILE, ENOENT),
      times: some(10),
    }),
  },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('watches are refused' as const), times: some(8) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('lists of children are refused' as const), times: some(4) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('slots are refused' as const), times: some(4) }) },
  { weight: 2, arbitrary: fc.record({ event: fc.constant('a worker falls silent' as const), which: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({
      event: fc.constant('a worker says' as const),
      which: fc.nat(),
      condition: fc.constantFrom<Condition[]>('serving', 'full', 'draining'),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      event: fc.constant('connections' as const),
      users: fc.nat({ max: 300 }),
      wait: fc.boolean(),
    }),
  },
);

/** A world, and what happens in it. */
export const worlds: fc.Arbitrary<WorldOptions> = fc.record({
  maximum: fc.constantFrom(1, 3, 5, 6, 40, 4096, 4096, 4096),
  foreign: fc.boolean(),
});

/** Lets an event happen. Throws Error with the rules that are not kept. */
export async function happen(world: PoolWorld, event: PoolEvent): Promise<void> {
  const { workers } = world;
  const pick = (which: number) => workers[which % workers.length];
  switch (event.event) {
    case 'time passes':
      return await world.pass(event.milliseconds);
    case 'SIGUSR2':
      return await world.grow(event.times, event.by === 'somebody else' ? undefined : pick(event.by));
    case 'a worker ends':
      pick(event.which)?.finish(event.end);
      break;
    case 'many workers end':
      for (const worker of workers.slice(event.but)) worker.finish(event.end);
      break;
    case 'other workers from now on':
      world.fates = event.fates;
      break;
    case 'starts are refused':
      for (let time = 0; time < event.times; time++)
        world.refusedStarts.push(new SystemError(event.errno, 'clone', 'sh'));
      break;
    case 'watches are refused':
      world.loop.refusals += event.times;
      break;
    case 'lists of children are refused':
      world.refusedLists += event.times;
      break;
    case 'slots are refused':
      if (world.ledger !== undefined) world.ledger.refusals += event.times;
      break;
    case 'a worker falls silent': {
      const worker = pick(event.which);
      // Of one that waits no sign is expected.
      if (worker?.hasBegun === true) worker.silentSince ??= world.loop.now();
      break;
    }
    case 'a worker says':
      pick(event.which)?.say(event.condition);
      break;
    case 'connections':
      if (world.ledger !== undefined)
        world.ledger.connections = new Map(Array.from({ length: event.users }, (_, user) => [user, 16]));
      world.rules.waitingSince = event.wait ? world.loop.now() : undefined;
      break;
  }
  await world.settle();
}
