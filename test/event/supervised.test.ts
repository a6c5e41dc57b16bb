import { setTimeout } from 'node:timers/promises';
import { EventLoop, Scope, StartLimit, Supervised, type SupervisionEvent } from '@sdrx/event';
import { of, Subject } from 'rxjs';
import t from 'tap';
import { children } from '../support/children.js';
import { untilOr } from '../support/until.js';
import { onLoop } from './on-loop.js';

/** The longest that anything may take, in milliseconds. */
const LIMIT = 60_000;
const SLEEP = { file: 'sleep', args: ['1000'] };
const STUBBORN = { file: 'sh', args: ['-c', 'trap "" TERM; echo; while :; do sleep 1; done'] };

t.test(
  'what becomes of it is iterated over, and awaited',
  onLoop(async (t, loop) => {
    const limit = new StartLimit({ starts: 2, interval: LIMIT });
    const program = { file: 'sh', args: ['-c', 'echo hello; exit 3'] };
    const supervised = new Supervised(loop, program, { limit, backoff: { first: 1 } });
    const told: string[] = [];
    supervised.events.subscribe(({ type }) => told.push(type));
    const types: string[] = [];
    for await (const event of supervised) types.push(event.type);
    t.strictSame(types, ['started', 'line', 'ended', 'waiting', 'started', 'line', 'ended', 'waiting', 'gave-up']);
    t.strictSame(told, types);
    t.strictSame(await supervised.finished, { type: 'gave-up', attempts: 2, success: false });
    for await (const event of supervised) t.fail(`${event.type} comes after the end`);
  }),
);

t.test(
  'stop ends it in order and is one for all who ask',
  onLoop(async (t, loop) => {
    const supervised = new Supervised(loop, SLEEP);
    t.equal(supervised.pid, undefined);
    await untilOr(
      LIMIT,
      () => supervised.pid !== undefined,
      () => 'it does not start',
    );
    t.strictSame(children(), [supervised.pid]);
    const [one, other] = [supervised.stop(), supervised.stop()];
    t.strictSame(await one, { type: 'stopped', attempts: 1, success: true });
    t.equal(await other, await one);
    t.equal(supervised.pid, undefined);
    t.equal(await supervised.stop(), await one, 'it has ended');
  }),
);

t.test(
  'it is a step of a scope, whose haste it shares',
  onLoop(async (t, loop) => {
    const scope = new Scope({ deadline: LIMIT });
    const supervised = new Supervised(loop, STUBBORN);
    scope.add('program', (ending) => supervised.stop(ending));
    for await (const event of supervised) if (event.type === 'line') break;
    const end = scope.end();
    // The signal does not end it.
    await setTimeout(50);
    t.strictSame(children(), [supervised.pid]);
    await scope.end('immediate');
    await end;
    t.match(await supervised.finished, { type: 'stopped', success: false });
    t.strictSame(children(), []);

    const other = new Supervised(loop, STUBBORN);
    for await (const event of other) if (event.type === 'line') break;
    t.match(await other.stop({ signal: AbortSignal.abort() }), { type: 'stopped', success: false });
  }),
);

t.test(
  'it is disposed of at once, or in order',
  onLoop(async (t, loop) => {
    let finished: Promise<unknown>;
    {
      using supervised = new Supervised(loop, STUBBORN);
      for await (const event of supervised) if (event.type === 'line') break;
      finished = supervised.finished;
    }
    t.strictSame(children(), []);
    t.match(await finished, { type: 'stopped', attempts: 1 });
    {
      await using supervised = new Supervised(loop, SLEEP);
      for await (const event of supervised) if (event.type === 'started') break;
    }
    t.strictSame(children(), []);
  }),
);

t.test(
  'who iterates gets all lines in their order, however long each takes',
  onLoop(async (t, loop) => {
    const supervised = new Supervised(loop, { file: 'seq', args: ['200000'] }, { restart: 'never' });
    let count = 0;
    for await (const event of supervised) {
      if (event.type !== 'line') continue;
      if (++count % 10_000 === 0) await setTimeout(10);
      if (Number(event.text) !== count) t.fail(`${event.text} comes where ${count} should`);
    }
    t.equal(count, 200_000);
  }),
);

t.test(
  'who is slow has the output wait; who leaves does not',
  onLoop(async (t, loop) => {
    using supervised = new Supervised(loop, { file: 'yes' });
    let told = 0;
    supervised.events.subscribe(({ type }) => {
      if (type === 'line') told++;
    });
    let [before, looks] = [0, 0];
    const settled = () => {
      looks = told === before ? looks + 1 : 0;
      before = told;
      return looks > 50;
    };
    for await (const event of supervised) {
      if (event.type !== 'line') continue;
      await untilOr(LIMIT, settled, () => `after ${told} lines there come more`, 5);
      break;
    }
    await untilOr(
      LIMIT,
      () => told > before,
      () => 'it does not go on',
    );
    t.ok(told > before);
  }),
);

t.test(
  'its options may have a stop and a pause of their own',
  onLoop(async (t, loop) => {
    const on = new Subject<void>();
    const supervised = new Supervised(loop, SLEEP, { stop: { on }, paused: of(false) });
    for await (const event of supervised) if (event.type === 'started') on.next();
    t.match(await supervised.finished, { type: 'stopped' });
    const silent = new Supervised(loop, { file: 'true' }, { output: 'ignore', restart: 'never' });
    t.strictSame(await silent.finished, { type: 'done', attempts: 1, success: true });
  }),
);

t.test(
  'what it fails with rejects',
  onLoop(async (t, loop) => {
    const failing = () =>
      new Supervised(loop, () => {
        throw new Error('no program');
      });
    await t.rejects(failing().finished, /no program/);
    const supervised = failing();
    const iterate = async () => {
      const events: SupervisionEvent[] = [];
      for await (const event of supervised) events.push(event);
    };
    await t.rejects(iterate(), /no program/);
    await t.rejects(supervised.finished, /no program/);
  }),
);

t.test('the end of the loop is its end', async (t) => {
  using loop = new EventLoop();
  const supervised = new Supervised(loop, SLEEP);
  supervised.events.subscribe(({ type }) => {
    if (type === 'started') loop.exit();
  });
  await loop.run();
  t.match(await supervised.finished, { type: 'stopped', attempts: 1 });
  t.strictSame(children(), []);
});
