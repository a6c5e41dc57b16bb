import type { ProgramEnded, SupervisionEvent } from '@sdrx/event';
import fc from 'fast-check';
import t from 'tap';
import { ProgramWorld, STEADY, type WorldOptions } from './supervise/program-world.js';
import type { FollowerFate, ProgramFate } from './supervise/simulated-process.js';
import { endings, happen, worldEvents, worlds } from './supervise/supervision-events.js';
import { type SupervisionOptions, USUAL, type WatchedSupervision } from './supervise/watched-supervision.js';

const RUNS = 300;

const LIMIT = { starts: 3, interval: 10_000 };

/** A process that a program leaves behind, and that ends of SIGKILL only. */
const STUBBORN: FollowerFate = {
  lasts: undefined,
  end: { code: 'exited', status: 0 },
  obeys: undefined,
  dies: 0,
  unreaped: 0,
  escapes: false,
  holds: false,
};

/** A program that fails after so many milliseconds. */
function failing(lasts: number, fate: Partial<ProgramFate> = {}): ProgramFate {
  return { ...STEADY, lasts, end: { code: 'exited', status: 1 }, ...fate };
}

/** Runs a body in a world with one program, which is ended after that, with all checks of the rules. */
async function inWorld(
  options: Partial<SupervisionOptions>,
  fates: readonly ProgramFate[],
  body: (world: ProgramWorld, supervision: WatchedSupervision) => Promise<void>,
  others: Partial<WorldOptions> = {},
): Promise<void> {
  const world = new ProgramWorld({
    isOldKernel: false,
    limit: LIMIT,
    programs: [{ ...USUAL, ...options }],
    fates,
    ...others,
  });
  const [supervision] = world.supervisions;
  if (supervision === undefined) throw new Error('there is no program');
  await world.settle();
  await body(world, supervision);
  await world.end('stop');
}

function types(events: readonly SupervisionEvent[]): string {
  return events.map(({ type }) => type).join(' ');
}

function ends(events: readonly SupervisionEvent[]): ProgramEnded[] {
  return events.filter((event) => event.type === 'ended');
}

t.test('whatever happens to programs and their supervisors, the rules are kept, and nothing is left', async (t) => {
  let [started, time] = [0, 0];
  await fc.assert(
    fc.asyncProperty(
      worlds,
      fc.array(worldEvents, { maxLength: 30, size: 'max' }),
      endings,
      async (options, events, how) => {
        const world = new ProgramWorld(options);
        await world.settle();
        for (const event of events) await happen(world, event);
        await world.end(how);
        started += world.started;
        time += world.loop.now();
      },
    ),
    { numRuns: RUNS },
  );
  t.comment(`${started} runs of programs in ${Math.round(time / 60_000)} minutes of that world`);
});

t.test('what was killed is dead before the program starts again, at the cost of a second at most', async (t) => {
  for (const [dies, wait] of [
    [300, 310],
    [undefined, 1000],
  ] as const)
    await inWorld({}, [failing(50, { followers: [{ ...STUBBORN, dies }] }), STEADY], async (world, { events }) => {
      await world.pass(50 + 500 + wait - 100);
      t.equal(types(events), 'started', `${dies}`);
      await world.pass(150);
      t.equal(types(events), 'started ended waiting', `${dies}`);
      t.match(ends(events), [{ forced: true, outputLeft: false }]);
    });
});

t.test('who asks once more after the kill does not wait for the dead; the deadline is not such a wish', async (t) => {
  const hanging = failing(50, { followers: [{ ...STUBBORN, dies: undefined }] });
  await inWorld({}, [hanging], async (world, supervision) => {
    await world.pass(100);
    supervision.stop();
    supervision.stop();
    await world.pass(600);
    t.equal(types(supervision.events), 'started', 'the deadline is over');
    supervision.stop();
    await world.settle();
    t.equal(types(supervision.events), 'started ended stopped');
  });
});

t.test('a program that nobody had to kill was not ended by force', async (t) => {
  // Somebody else has waited for it, which is told late.
  const gone = { ...STEADY, late: 700, isReapedElsewhere: true };
  for (const processGroup of [true, false])
    await inWorld({ processGroup }, [gone], async (world, supervision) => {
      world.living[0]?.leader.finish({ code: 'exited', status: 0 });
      supervision.stop();
      await world.pass(701);
      t.match(ends(supervision.events), [{ cause: 'stop', forced: false, code: undefined }]);
    });
});

t.test('without a descriptor to look by, what is left of a program is taken to run', async (t) => {
  await inWorld({}, [failing(50, { followers: [STUBBORN] }), STEADY], async (world, { events }) => {
    world.refusedLooks = 3;
    await world.pass(500);
    t.equal(world.refusedLooks, 0);
    t.equal(types(events), 'started');
    await world.pass(500);
    t.equal(types(events), 'started ended waiting started');
  });
});

t.test('a program that can not be watched, or whose watchdog ends it all, leaves no watchdog', async (t) => {
  const watched = { ...STEADY, watchdog: 'value', watchdogAfter: 5000 } as const;
  const world = new ProgramWorld({ isOldKernel: false, limit: LIMIT, programs: [USUAL, USUAL], fates: [watched] });
  world.loop.refusals = 1;
  const [, other] = world.supervisions;
  if (other !== undefined) other.reaction = { to: 'watchdog', by: 'unsubscribe' };
  await world.settle();
  t.strictSame(
    world.supervisions.map(({ rules }) => [rules.isOver, rules.watchdogs]),
    [
      [true, 0],
      [true, 0],
    ],
  );
  await world.end('stop');
});

t.test('it is told once that it has stopped, also to one who wants it once more', async (t) => {
  await inWorld({}, [failing(0)], async (world, supervision) => {
    t.equal(types(supervision.events), 'started ended waiting');
    supervision.reaction = { to: 'stopped', by: 'stop' };
    supervision.stop();
    await world.settle();
    t.equal(types(supervision.events), 'started ended waiting stopped');
  });
});

t.test('who is told a line and wants the end at once is told the other lines first', async (t) => {
  const talking = failing(50, { lastWords: 'one\ntwo\nthree', late: 10 });
  await inWorld({}, [talking], async (world, supervision) => {
    supervision.pause(true);
    supervision.reaction = { to: 'line', by: 'stop twice' };
    await world.pass(61);
    t.equal(types(supervision.events), 'started line line line line line line ended stopped', 'of both streams');
  });
});

t.test('whoever gets the last line of a held output and wants the end is told that something holds it', async (t) => {
  const holder: FollowerFate = { ...STUBBORN, dies: undefined, holds: true };
  const talking = failing(50, { writes: [{ at: 10, stream: 1, text: 'half' }], followers: [holder] });
  await inWorld({ processGroup: false }, [talking], async (world, supervision) => {
    supervision.reaction = { to: 'line', by: 'stop twice' };
    await world.pass(50 + 1000 + 10);
    t.equal(types(supervision.events), 'started line ended stopped');
    t.match(ends(supervision.events), [{ outputLeft: true }]);
  });
});

t.test('before Linux 6.9 no group is told anything whose leader somebody else has reaped', async (t) => {
  const reaped = { ...STEADY, late: 100, isReapedElsewhere: true };
  await inWorld(
    {},
    [reaped],
    async (world, supervision) => {
      world.living[0]?.leader.finish({ code: 'exited', status: 0 });
      // Its number may be another group's by now, which the rules say.
      supervision.stop();
      supervision.stop();
      await world.pass(200);
      t.equal(types(supervision.events), 'started ended stopped');
    },
    { isOldKernel: true },
  );
});
