import { EACCES, EAGAIN, ENOENT, ENOMEM, SystemError } from '@sdrx/linux';
import fc from 'fast-check';
import type { ProgramWorld, WorldOptions } from './program-world.js';
import type { End, FollowerFate, ProgramFate } from './simulated-process.js';
import type { Reaction, SupervisionOptions } from './watched-supervision.js';

/** Something that happens in a world. Who is meant is told by a number, modulo how many there are. */
export type WorldEvent =
  | { readonly event: 'time passes'; readonly milliseconds: number }
  | { readonly event: 'stop'; readonly which: number }
  | { readonly event: 'unsubscribe'; readonly which: number }
  | { readonly event: 'pause'; readonly which: number; readonly on: boolean }
  | { readonly event: 'somebody reacts'; readonly which: number; readonly reaction: Reaction }
  | { readonly event: 'a program ends'; readonly which: number; readonly end: End }
  | { readonly event: 'other programs from now on'; readonly fates: readonly ProgramFate[] }
  | { readonly event: 'starts are refused'; readonly errno: number; readonly times: number }
  | { readonly event: 'pipes are refused'; readonly times: number }
  | { readonly event: 'watches are refused'; readonly times: number }
  | { readonly event: 'looks are refused'; readonly times: number };

const some = (most: number) => fc.integer({ min: 1, max: most });

/** Mostly little, also on either side of what matters to the supervisor. */
const short = fc.oneof(fc.constant(0), fc.constantFrom(1, 10, 99, 100, 101), fc.nat({ max: 500 }));
const times = fc.oneof(short, fc.constantFrom(999, 1000, 1001, 2000), fc.nat({ max: 5000 }));

const ends: fc.Arbitrary<End> = fc.oneof(
  fc.record({ code: fc.constant('exited' as const), status: fc.constantFrom(0, 1, 7) }),
  fc.record({ code: fc.constant('killed' as const), status: fc.constantFrom(1, 9, 15) }),
  fc.record({ code: fc.constant('dumped' as const), status: fc.constantFrom(6, 11) }),
);

const fate = {
  lasts: fc.oneof(fc.constant(undefined), short, times),
  end: ends,
  obeys: fc.oneof(fc.constant(0), fc.constant(0), fc.constant(undefined), times),
  dies: fc.oneof(fc.constant(0), fc.constant(0), fc.constantFrom(1, 20, 900, 1500), fc.constant(undefined)),
};

const followers: fc.Arbitrary<FollowerFate> = fc.record({
  ...fate,
  unreaped: fc.constantFrom(0, 0, 0, 5, 3000),
  escapes: fc.constantFrom(false, false, false, true),
  holds: fc.boolean(),
});

const writes = fc.record({
  at: short,
  stream: fc.constantFrom(0 as const, 1 as const),
  text: fc.constantFrom('one\n', 'two\nthree\n', 'half', ' a line\n', 'ä\n'),
});

/** A rare thing. */
const seldom = fc.constantFrom(false, false, false, false, false, false, false, true);

const fates: fc.Arbitrary<ProgramFate> = fc
  .record({
    ...fate,
    late: fc.oneof(fc.constant(0), fc.constant(0), fc.constant(0), short),
    isStopped: seldom,
    isForeign: seldom,
    isReapedElsewhere: seldom,
    writes: fc.array(writes, { maxLength: 3 }),
    lastWords: fc.constantFrom('', '', 'bye', 'bye\n'),
    followers: fc.oneof(fc.constant([]), fc.array(followers, { maxLength: 2 })),
    watchdog: fc.constantFrom('nothing', 'nothing', 'nothing', 'value', 'error', 'end'),
    watchdogAfter: short,
  })
  .map((program) => (program.isForeign ? { ...program, followers: [] } : program));

const backoff = fc
  .record({
    first: fc.constantFrom(20, 100, 100, 250),
    more: fc.constantFrom(0, 900, 5000),
    factor: fc.constantFrom(1, 1.5, 2, 3),
    jitter: fc.constantFrom(0, 0, 0.25),
    stableAfter: fc.constantFrom(0, 50, 1000, 3000),
  })
  .map(({ more, ...options }) => ({ ...options, most: options.first + more }));

/** Without a delay and a limit programs could be started without end at one time. */
const programs: fc.Arbitrary<SupervisionOptions> = fc
  .record({
    restart: fc.constantFrom('always', 'always', 'always', 'on-failure', 'never'),
    success: fc.constantFrom([0, 'SIGTERM'] as const, [0, 7] as const, [0, 'SIGSEGV'] as const),
    backoff,
    hasLimit: fc.constantFrom(false, false, true),
    atLimit: fc.constantFrom('wait', 'wait', 'give-up'),
    stopSignal: fc.constantFrom('SIGTERM', 'SIGINT'),
    deadline: fc.constantFrom(0, 50, 1000, 2000, Number.POSITIVE_INFINITY),
    processGroup: fc.constantFrom(true, true, true, false),
    output: fc.constantFrom('lines', 'lines', 'ignore'),
    isObject: fc.constantFrom(false, false, true),
    isUndelayed: seldom,
  })
  .map(({ isUndelayed, ...options }) =>
    isUndelayed && options.hasLimit ? { ...options, backoff: { ...options.backoff, first: 0 } } : options,
  );

const someFates = fc.array(fates, { minLength: 1, maxLength: 4 });

/** A world, and what happens in it. */
export const worlds: fc.Arbitrary<WorldOptions> = fc.record({
  isOldKernel: fc.constantFrom(false, false, false, true),
  limit: fc.record({ starts: some(4), interval: fc.constantFrom(100, 1000, 3000, 10_000) }),
  programs: fc.array(programs, { minLength: 1, maxLength: 3 }),
  fates: someFates,
});

const which = fc.nat({ max: 5 });

const reactions: fc.Arbitrary<Reaction> = fc.record({
  to: fc.constantFrom(
    'program',
    'program',
    'watchdog',
    'started',
    'line',
    'ended',
    'waiting',
    'stopped',
    'done',
    'gave-up',
  ),
  by: fc.constantFrom('stop', 'stop', 'stop twice', 'unsubscribe', 'pause', 'go on', 'throw'),
});

/** Any event, so that each kind comes often enough. */
export const worldEvents: fc.Arbitrary<WorldEvent> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      event: fc.constant('time passes' as const),
      milliseconds: fc.oneof(short, times, some(10_000)).map((milliseconds) => milliseconds || 1),
    }),
  },
  { weight: 3, arbitrary: fc.record({ event: fc.constant('stop' as const), which }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('unsubscribe' as const), which }) },
  { weight: 2, arbitrary: fc.record({ event: fc.constant('pause' as const), which, on: fc.boolean() }) },
  { weight: 4, arbitrary: fc.record({ event: fc.constant('somebody reacts' as const), which, reaction: reactions }) },
  { weight: 5, arbitrary: fc.record({ event: fc.constant('a program ends' as const), which, end: ends }) },
  { weight: 5, arbitrary: fc.record({ event: fc.constant('other programs from now on' as const), fates: someFates }) },
  {
    weight: 2,
    arbitrary: fc.record({
      event: fc.constant('starts are refused' as const),
      errno: fc.constantFrom(EAGAIN, ENOMEM, EACCES, ENOENT),
      times: some(3),
    }),
  },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('pipes are refused' as const), times: some(3) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('watches are refused' as const), times: some(2) }) },
  { weight: 1, arbitrary: fc.record({ event: fc.constant('looks are refused' as const), times: some(3) }) },
);

export const endings = fc.constantFrom('stop' as const, 'stop' as const, 'unsubscribe' as const, 'exit' as const);

/** Lets an event happen. Throws Error with the rules that are not kept. */
export async function happen(world: ProgramWorld, event: WorldEvent): Promise<void> {
  const { supervisions, living } = world;
  const pick = (index: number) => supervisions[index % supervisions.length];
  switch (event.event) {
    case 'time passes':
      return await world.pass(event.milliseconds);
    case 'stop':
      pick(event.which)?.stop();
      break;
    case 'unsubscribe':
      pick(event.which)?.unsubscribe();
      break;
    case 'pause':
      pick(event.which)?.pause(event.on);
      break;
    case 'somebody reacts': {
      const supervision = pick(event.which);
      if (supervision !== undefined) supervision.reaction = event.reaction;
      break;
    }
    case 'a program ends':
      living[event.which % living.length]?.leader.finish(event.end);
      break;
    case 'other programs from now on':
      world.fates = event.fates;
      break;
    case 'starts are refused':
      for (let time = 0; time < event.times; time++)
        world.refusedStarts.push(new SystemError(event.errno, 'clone', 'program'));
      break;
    case 'pipes are refused':
      world.refusedPipes += event.times;
      break;
    case 'watches are refused':
      world.loop.refusals += event.times;
      break;
    case 'looks are refused':
      world.refusedLooks += event.times;
      break;
  }
  await world.settle();
}
