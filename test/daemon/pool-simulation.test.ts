import { NoWorkersError } from '@sdrx/daemon';
import { EAGAIN, ENOENT, SystemError } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { comeAndGo } from './pool/come-and-go.js';
import { happen, poolEvents, worlds } from './pool/pool-events.js';
import { PoolWorld, STEADY } from './pool/pool-world.js';
import type { End, Fate } from './pool/simulated-worker.js';

const RUNS = 120;
const WORKERS = 30_000;
const OTHERS = { maximum: 4096, foreign: true } as const;

const FAILURE: End = { code: 'exited', status: 1 };

/** A worker that fails after so many milliseconds. */
function failing(after: number): Fate {
  return { ...STEADY, after, end: FAILURE };
}

t.test('whatever happens to the pool, the rules for its workers are kept, and nothing is left', async () => {
  await fc.assert(
    fc.asyncProperty(worlds, fc.array(poolEvents, { maxLength: 40, size: 'max' }), async (options, events) => {
      const world = new PoolWorld(options);
      await world.settle();
      for (const event of events) {
        if (world.givenUp !== undefined) break;
        await happen(world, event);
      }
      await world.stop();
    }),
    { numRuns: RUNS },
  );
});

t.test('five are started, and 4096 are the most, however many are asked for', async (t) => {
  const world = new PoolWorld(OTHERS);
  await world.settle();
  t.equal(world.pool.size, 5);
  while (world.pool.size < 4096 && world.loop.now() < 60_000) {
    await world.grow(300, undefined);
    await world.pass(2000);
  }
  await world.grow(300, undefined);
  t.equal(world.pool.size, 4096);
  t.equal(world.rules.started, 4096);
  for (const worker of world.workers) worker.finish(FAILURE);
  await world.settle();
  t.equal(world.pool.size, 5, 'as many are started anew as must be there');
  await world.stop();
});

t.test('of those that end at once 250 are started in a window, and one timer at its end goes on', async (t) => {
  const world = new PoolWorld(OTHERS);
  await world.settle();
  world.fates = [failing(0)];
  for (const worker of world.workers.slice(1)) worker.finish(FAILURE);
  await world.settle();
  t.equal(world.rules.started, 250);
  t.equal(world.deferredStarts, 1);
  await world.pass(1999);
  t.equal(world.rules.started, 250, 'not before the end');
  world.fates = [STEADY];
  await world.pass(1);
  t.equal(world.rules.started, 254, 'but then');
  t.equal(world.pool.size, 5);
  t.equal(world.deferredStarts, 0);
  await world.stop();
});

t.test('who can not be watched, and is killed, keeps nobody waiting for a turn', async (t) => {
  const world = new PoolWorld({ ...OTHERS, foreign: false });
  await world.settle();
  world.fates = [{ ...STEADY, begins: false }];
  world.loop.refusals = 3;
  await world.grow(6, undefined);
  const waiting = () => world.workers.filter(({ isWaiting }) => isWaiting).length;
  const killed = world.workers.filter(({ signals }) => signals.includes('SIGKILL'));
  t.equal(killed.length, 3);
  t.equal(waiting(), 1, 'for two that live');
  await world.pass(1020);
  t.equal(world.pool.size, 8);
  t.equal(waiting(), 0);
  await world.stop();
});

t.test('with none alive and none allowed it gives up', async (t) => {
  const world = new PoolWorld({ ...OTHERS, fates: [failing(0)] });
  await world.settle();
  t.ok(world.givenUp instanceof NoWorkersError);
  t.equal(world.rules.started, 250);
  await world.stop();
});

t.test('with none alive it waits for memory, but not for a program that is not there', async (t) => {
  for (const [errno, isHopeless] of [
    [EAGAIN, false],
    [ENOENT, true],
  ] as const) {
    const world = new PoolWorld(OTHERS);
    await world.settle();
    for (let time = 0; time < 5; time++) world.refusedStarts.push(new SystemError(errno, 'clone', 'sh'));
    for (const worker of world.workers) worker.finish(FAILURE);
    await world.settle();
    await world.pass(60_000);
    t.equal(world.givenUp !== undefined, isHopeless, `${errno}`);
    t.equal(world.pool.size, isHopeless ? 0 : 5);
    await world.stop();
  }
});

t.test('workers that fail again and again are started less and less often', async (t) => {
  const world = new PoolWorld({ ...OTHERS, fates: [failing(200)] });
  await world.settle();
  await world.pass(10_000);
  const atFirst = world.rules.started;
  await world.pass(60_000);
  const then = world.rules.started - atFirst;
  t.ok(atFirst >= 245, `${atFirst} in ten seconds`);
  t.ok(then > 0 && then <= 100, `${then} in a minute`);
  world.fates = [STEADY];
  await world.pass(5000);
  t.equal(world.pool.size, 5);
  await world.stop();
});

t.test('workers that ignore a stop are killed, and those that hang in the kernel are not waited for', async (t) => {
  const fates = [STEADY, { ...STEADY, obeys: 'kill' as const }, { ...STEADY, obeys: 'none' as const }];
  const world = new PoolWorld({ ...OTHERS, fates });
  await world.settle();
  const { workers } = world;
  await world.stop();
  t.strictSame(
    workers.map(({ signals }) => signals.join()),
    ['SIGTERM', 'SIGTERM,SIGKILL', 'SIGTERM,SIGKILL,SIGKILL', 'SIGTERM', 'SIGTERM,SIGKILL'],
  );
});

t.test('no more begin at a time than there are processors, and one less until the first one serves', async (t) => {
  const late = { ...STEADY, begins: false };
  const world = new PoolWorld({ maximum: 4096, foreign: false, fates: [late, late, STEADY, late, late, late] });
  await world.settle();
  const begun = () => world.workers.map(({ isWaiting }) => !isWaiting);
  t.strictSame(begun(), [true, false, false, false, false], 'there are five');
  await world.pass(900);
  t.strictSame(begun(), [true, false, false, false, false]);
  await world.pass(150);
  t.strictSame(begun(), [true, true, false, false, false], 'one that takes long is waited for no more');
  await world.pass(1050);
  t.strictSame(begun(), [true, true, true, true, true], 'when one serves two more begin');
  await world.stop();
});

t.test('one that falls silent is told to end, killed when it does not, and replaced in any case', async (t) => {
  const fates = [STEADY, { ...STEADY, obeys: 'kill' as const }, { ...STEADY, obeys: 'none' as const }, STEADY, STEADY];
  const world = new PoolWorld({ maximum: 4096, foreign: false, fates });
  await world.settle();
  const silent = world.workers.slice(0, 3);
  for (const worker of silent) worker.silentSince = 0;
  await world.pass(30_000);
  t.strictSame(
    silent.map(({ signals }) => signals.join()),
    ['SIGTERM', 'SIGTERM,SIGKILL', 'SIGTERM,SIGKILL'],
  );
  t.equal(world.pool.size, 6, 'with the one that hangs');
  await world.stop();
});

t.test(`${WORKERS} workers come and go`, async (t) => {
  const seed = Date.now() % 0x7fff_ffff;
  t.comment(`seed ${seed}`);
  const balance = await comeAndGo(WORKERS, seed);
  t.comment(JSON.stringify(balance));
  t.ok(balance.started >= WORKERS);
});
