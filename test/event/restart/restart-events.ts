import { EAGAIN, EMFILE, ENOBUFS, ENOENT, ENOMEM, ENOSPC } from '@sdrx/linux';
import fc from 'fast-check';
import type { Fault, RestartWorld, WorldOptions } from './restart-world.js';
import type { CallName } from './simulated-process.js';
import type { Fate } from './simulated-service.js';

type How = 'reload' | 'signal' | 'call';

/** Something that happens in a world. Who is meant is told by a number, modulo how many there are. */
export type WorldEvent =
  | { readonly event: 'time passes'; readonly milliseconds: number }
  | { readonly event: 'restart'; readonly how: How; readonly times: number; readonly wait: number }
  | { readonly event: 'clients come'; readonly count: number; readonly stay: number }
  | {
      readonly event: 'signal';
      readonly signal: 'SIGKILL' | 'SIGTERM' | 'SIGHUP';
      readonly which: number;
    }
  | { readonly event: 'freeze'; readonly which: number; readonly lasts: number }
  | { readonly event: 'fault'; readonly fault: Fault }
  | { readonly event: 'few descriptors'; readonly lasts: number }
  | { readonly event: 'stall'; readonly lasts: number }
  | { readonly event: 'stop by itself' }
  | { readonly event: 'other programs from now on'; readonly fates: readonly Fate[] };

const short = fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 500 }));
const times = fc.oneof(short, fc.integer({ min: 1, max: 8000 }), fc.constantFrom(999, 1000, 1001, 3000, 5000));

const words = fc.constantFrom(
  '{"type":"taken"}',
  '{"type":"taken"}',
  '{"type":"ready"}',
  '{"type":"accepting"}',
  '{"type":"current"}',
  '{"type":"bye"}',
  '{"type":"failed","message":"no\\nroom"}',
  '{"type":"progress","text":"on","extend":50}',
  '{"type":"progress","text":7,"extend":-1}',
  '{"type":"hello","protocol":1}',
  '{"type":"tak',
  '7',
  'null',
  '',
);

const fates: fc.Arbitrary<Fate> = fc.oneof(
  {
    weight: 16,
    arbitrary: fc.record({
      how: fc.constant('serves' as const),
      takes: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 20 }), short, times),
      progress: fc.array(fc.record({ at: short, extend: fc.oneof(short, times) }), { maxLength: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ how: fc.constant('throws' as const), takes: times }) },
  { weight: 1, arbitrary: fc.record({ how: fc.constant('crashes' as const), takes: times }) },
  {
    weight: 1,
    arbitrary: fc.record({
      how: fc.constant('hangs' as const),
      takes: short,
      lasts: fc.option(times, { nil: undefined }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      how: fc.constant('lies' as const),
      says: fc.array(words, { maxLength: 5 }),
      // biome-ignore lint/suspicious/noThenProperty: what it does then is no function
      then: fc.constantFrom('lives' as const, 'closes' as const, 'exits' as const),
    }),
  },
  { weight: 1, arbitrary: fc.constant({ how: 'speaks otherwise' } as const) },
  { weight: 1, arbitrary: fc.constant({ how: 'is another program' } as const) },
);

const someFates = fc.array(fates, { minLength: 1, maxLength: 4 });

/** A world. */
export const worlds: fc.Arbitrary<WorldOptions> = fc.record({
  unit: fc.option(
    fc.record({
      exitType: fc.constantFrom('main' as const, 'main' as const, 'cgroup' as const),
      notifyAccess: fc.constantFrom('main' as const, 'all' as const),
      watchdog: fc.constantFrom(0, 0, 10_000, 60_000),
    }),
    { nil: undefined, freq: 4 },
  ),
  service: fc.record({
    readyWithin: fc.constantFrom(500, 3000, 3000, 60_000),
    mostDraining: fc.constantFrom(0, 1, 2, 2),
    deadline: fc.constantFrom(0, 200, 5000, 30_000),
    hasPidFile: fc.boolean(),
    idle: fc.constantFrom(0, 0, 0, 0, 0, 0, 2000),
  }),
  fates: someFates,
  delays: fc.oneof(fc.constant([]), fc.array(fc.constantFrom(0, 0, 1, 2, 7, 30), { maxLength: 7 })),
});

const calls: fc.Arbitrary<readonly [CallName, readonly number[]]> = fc.constantFrom(
  ['channel', [EMFILE]],
  ['ownPidfd', [EMFILE, ENOMEM]],
  ['send', [ENOBUFS, ENOMEM]],
  ['receive', [EMFILE, ENOMEM]],
  ['start', [EAGAIN, ENOMEM, ENOENT]],
  ['seal', [EMFILE, ENOSPC]],
  ['readSealed', [EMFILE, ENOMEM]],
  ['notify', [ENOBUFS]],
  ['notifyBarrier', [EMFILE]],
  ['watch', [ENOMEM]],
  ['openSockets', [EMFILE]],
  ['makePidFile', [ENOSPC, EMFILE]],
  ['replace', [ENOSPC]],
  ['removeDraft', [ENOENT]],
);

const who = fc.constantFrom('old' as const, 'new' as const);
const few = fc.nat({ max: 3 });

const faults: fc.Arbitrary<Fault> = fc.oneof(
  fc.tuple(calls, who, few, fc.nat()).map(([[call, errors], whose, after, which]) => ({
    who: whose,
    call,
    after,
    what: errors[which % errors.length] ?? ENOMEM,
  })),
  fc.record({
    who,
    call: fc.constant('any' as const),
    after: fc.nat({ max: 25 }),
    what: fc.constantFrom('kill' as const, 'kill' as const, 'freeze' as const),
  }),
  fc.record({ who, call: fc.constant('send' as const), after: few, what: fc.constant('full' as const) }),
);

/** How often something comes, beside others. */
interface Weighted {
  readonly weight: number;
  readonly arbitrary: fc.Arbitrary<WorldEvent>;
}

/** What any service must expect. */
const usual: readonly Weighted[] = [
  { weight: 20, arbitrary: fc.record({ event: fc.constant('time passes' as const), milliseconds: times }) },
  {
    weight: 40,
    arbitrary: fc.record({
      event: fc.constant('restart' as const),
      how: fc.constantFrom('reload' as const, 'signal' as const, 'call' as const),
      times: fc.constantFrom(1, 1, 1, 2, 3),
      wait: fc.oneof(fc.constant(0), fc.integer({ min: 20, max: 200 }), times),
    }),
  },
  {
    weight: 10,
    arbitrary: fc.record({
      event: fc.constant('clients come' as const),
      count: fc.integer({ min: 1, max: 3 }),
      stay: times,
    }),
  },
  { weight: 6, arbitrary: fc.record({ event: fc.constant('other programs from now on' as const), fates: someFates }) },
];

/** What goes wrong, and interferes. */
const unusual: readonly Weighted[] = [
  {
    weight: 3,
    arbitrary: fc.record({
      event: fc.constant('signal' as const),
      signal: fc.constantFrom('SIGKILL', 'SIGKILL', 'SIGTERM', 'SIGHUP'),
      which: fc.nat({ max: 5 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ event: fc.constant('freeze' as const), which: fc.nat({ max: 5 }), lasts: times }),
  },
  { weight: 10, arbitrary: fc.record({ event: fc.constant('fault' as const), fault: faults }) },
  { weight: 2, arbitrary: fc.record({ event: fc.constant('few descriptors' as const), lasts: short }) },
  { weight: 3, arbitrary: fc.record({ event: fc.constant('stall' as const), lasts: times }) },
  { weight: 1, arbitrary: fc.constant({ event: 'stop by itself' } as const) },
];

const MOST = { maxLength: 25, size: 'max' } as const;

/** What happens in a world: in one of three nothing of what is unusual. */
export const histories: fc.Arbitrary<readonly WorldEvent[]> = fc.oneof(
  { weight: 2, arbitrary: fc.array(fc.oneof(...usual, ...unusual), MOST) },
  { weight: 1, arbitrary: fc.array(fc.oneof(...usual), MOST) },
);

/** Lets an event happen. Throws Error with the rules that are not kept. */
export async function happen(world: RestartWorld, event: WorldEvent): Promise<void> {
  switch (event.event) {
    case 'time passes':
      return world.pass(event.milliseconds);
    case 'restart':
      for (let time = 0; time < event.times; time++) world.restart(event.how);
      return world.pass(event.wait);
    case 'clients come':
      world.clientsCome(event.count, event.stay);
      break;
    case 'signal': {
      const process = world.living[event.which % Math.max(1, world.living.length)];
      if (process !== undefined) world.signal(process, event.signal);
      break;
    }
    case 'fault':
      world.faults.push(event.fault);
      break;
    case 'few descriptors':
      world.rules.disturbed();
      world.isShortOfDescriptors = true;
      world.after(event.lasts, () => {
        world.isShortOfDescriptors = false;
      });
      break;
    case 'freeze': {
      const process = world.living[event.which % Math.max(1, world.living.length)];
      if (process === undefined) break;
      world.signal(process, 'SIGSTOP');
      world.after(event.lasts, () => process.raise('SIGCONT'));
      break;
    }
    case 'stall':
      world.rules.disturbed();
      world.manager?.stall(true);
      world.after(event.lasts, () => world.manager?.stall(false));
      break;
    case 'stop by itself':
      world.stop();
      break;
    case 'other programs from now on':
      world.fates = event.fates;
  }
  await world.settle();
}
