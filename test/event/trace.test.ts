import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Dispatch, EventLoop, trace, writeTrace } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { take, tap } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

/** All that a virtual loop dispatches in `program`, which has it for so many milliseconds. */
async function traced(milliseconds: number, program: (loop: VirtualLoop) => void): Promise<Dispatch[]> {
  using loop = new VirtualLoop();
  const dispatches: Dispatch[] = [];
  let isComplete = false;
  trace(loop).subscribe({ next: (dispatch) => dispatches.push(dispatch), complete: () => (isComplete = true) });
  program(loop);
  const finished = loop.run();
  await loop.advance(milliseconds);
  loop.exit();
  await loop.finish();
  await finished;
  if (!isComplete) throw new Error('the trace has not ended with the loop');
  return dispatches;
}

const exact = { accuracy: 0 };

t.test('a dispatch tells its source, how long that waited, and how long its handler took', async (t) => {
  const dispatches = await traced(20, (loop) => {
    loop.time({ after: 10, ...exact, description: 'late', priority: 5 }).subscribe(() => loop.busy(3));
    loop.time({ after: 10, ...exact, description: 'early', priority: -5 }).subscribe(() => loop.busy(4));
  });
  t.strictSame(dispatches, [
    { kind: 'time', description: 'early', priority: -5, iteration: 1, pending: 10, begin: 10, end: 14 },
    { kind: 'time', description: 'late', priority: 5, iteration: 2, pending: 10, begin: 14, end: 17 },
  ]);
});

t.test(
  'every kind of source is traced: exit and post sources, own ones, and what a handler makes pending itself',
  async (t) => {
    const dispatches = await traced(1, (loop) => {
      loop.exiting({ description: 'last' }).subscribe(() => loop.busy(1));
      loop.post({ description: 'after' }).pipe(take(1)).subscribe();
      loop.defer({ description: 'first' }).subscribe(() => {
        loop.busy(2);
        loop.defer({ description: 'second' }).subscribe();
        loop.busy(3);
      });
      loop
        .source<number>('own', (source, kernel) => {
          const alarm = kernel.alarm('monotonic', () => source.pend(7));
          alarm.set(0);
          return { detach: () => alarm[Symbol.dispose]() };
        })
        .subscribe();
    });
    const rows = dispatches.map(({ kind, description, pending, begin, end }) => [
      kind,
      description,
      pending,
      begin,
      end,
    ]);
    t.strictSame(
      rows.filter(([kind]) => kind !== 'own'),
      [
        ['defer', 'first', 0, 0, 5],
        ['post', 'after', 0, 5, 5],
        ['defer', 'second', 2, 5, 5],
        ['exiting', 'last', 6, 6, 7],
      ],
    );
    t.equal(rows.filter(([kind]) => kind === 'own').length, 1);
  },
);

t.test('what a rate limit holds back waits as long as that', async (t) => {
  const dispatches = await traced(50, (loop) => {
    const limited = { ratelimit: { interval: 20, burst: 1 }, description: 'limited' };
    const signals = loop.signal('SIGUSR1', limited).pipe(take(2));
    signals.subscribe();
    loop.send('SIGUSR1');
    loop.time({ after: 5, ...exact }).subscribe(() => loop.send('SIGUSR1'));
  });
  const rows = dispatches.filter(({ kind }) => kind === 'signal').map(({ pending, begin }) => [pending, begin]);
  t.strictSame(rows, [
    [0, 0],
    [5, 20],
  ]);
});

t.test('sources() tells while a trace is on since when each is pending, and how long its handlers took', async (t) => {
  using loop = new VirtualLoop();
  const subscription = trace(loop).subscribe();
  const handler = tap(() => loop.busy(loop.now() < 15 ? 2 : 5));
  const ticks = loop
    .time({ every: 10, ...exact, description: 'tick' })
    .pipe(handler)
    .subscribe();
  const finished = loop.run();
  loop.time({ after: 10, ...exact, priority: -1, description: 'look' }).subscribe(() => {
    const [tick] = loop.sources().filter(({ description }) => description === 'tick');
    t.match(tick, { pending: true, pendingSince: 10, time: 0, longest: 0, dispatches: 0 });
  });
  await loop.advance(29);
  t.match(loop.sources(), [{ description: 'tick', pending: false, pendingSince: undefined, time: 7, longest: 5 }]);
  subscription.unsubscribe();
  t.notOk('time' in (loop.sources()[0] ?? {}), 'nobody measures any more');
  ticks.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
});

t.test('an observer that fails disturbs neither the loop nor another one', async (t) => {
  const failed = new Promise((resolve) => process.once('uncaughtException', resolve));
  using loop = new EventLoop();
  let seen = 0;
  trace(loop).subscribe(() => {
    throw new Error('an observer failed');
  });
  trace(loop).subscribe(() => seen++);
  t.equal(await loop.run(loop.defer().pipe(tap(() => loop.exit(3)))), 3);
  t.match(await failed, { message: 'an observer failed' });
  t.equal(seen, 1);
});

t.test(
  'of a loop that has finished there is no trace, and the file of another one stays',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const path = folder.join('trace.json');
    const loop = new EventLoop();
    await loop.run(writeTrace(loop, path).pipe(tap({ subscribe: () => loop.exit() })));
    const written = readFileSync(path, 'utf8');
    const errors: unknown[] = [];
    trace(loop).subscribe({ error: (error) => errors.push(error) });
    writeTrace(loop, path).subscribe({ error: (error) => errors.push(error) });
    t.match(errors, [{ code: 'ESTALE' }, { code: 'ESTALE' }]);
    t.equal(readFileSync(path, 'utf8'), written);
  }),
);

t.test(
  'the file is JSON, in the order of dispatch, and is whole after the loop and after unsubscribing',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const [all, some] = [folder.join('all.json'), folder.join('some.json')];
    const loop = new EventLoop();
    const program = loop
      .time({ every: 1, description: 'tick "1"\n' })
      .pipe(take(5), tap({ complete: () => loop.exit() }));
    const subscription = writeTrace(loop, some).subscribe();
    const finished = loop.run(program);
    writeTrace(loop, all).subscribe();
    loop.time({ after: 1 }).subscribe(() => subscription.unsubscribe());
    await finished;
    const [whole, part] = [all, some].map((path) => JSON.parse(readFileSync(path, 'utf8')));
    const ticks = whole.filter(
      (event: { ph: string; name: string }) => event.ph === 'X' && event.name.includes('tick'),
    );
    t.equal(ticks.length, 5);
    for (const { ts, dur, cat, args } of ticks) {
      t.ok(dur >= 0 && args.pending <= ts);
      t.match({ cat, args }, { cat: 'time', args: { kind: 'time', description: 'tick "1"\n', priority: 0 } });
    }
    t.ok(part.length < whole.length);
  }),
);

t.test(
  'a file that can not be opened or written to is the error, and the loop goes on',
  leavingNothing(async (t) => {
    using folder = new Folder();
    for (const [path, code] of [
      [join(folder.path, 'none', 'trace.json'), 'ENOENT'],
      [folder.path, 'EISDIR'],
      ['/dev/full', 'ENOSPC'],
    ] as const) {
      const loop = new EventLoop();
      const errors: unknown[] = [];
      writeTrace(loop, path).subscribe({ error: (error) => errors.push(error) });
      t.equal(await loop.run(loop.time({ after: 1 }).pipe(tap(() => loop.exit(4)))), 4);
      t.match(errors, [{ code }]);
    }
  }),
);
