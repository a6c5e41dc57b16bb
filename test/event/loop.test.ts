import { EventLoop } from '@sdrx/event';
import { eventfd, read } from '@sdrx/linux';
import { concat, EMPTY, firstValueFrom, merge, NEVER, Observable, of, repeat, tap, throwError } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop, signalEvent } from './on-loop.js';
import { runNode } from './run-node.js';

t.test(
  'tells its state: initial, preparing, running, armed or pending in between, exiting and finished',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const states: string[] = [];
    const note = (where: string) => states.push(`${where}: ${loop.state}`);
    note('before');
    const prepare = () => {
      if (loop.iteration === 1) note('prepare');
    };
    loop.defer({ prepare }).subscribe(() => note('first handler'));
    loop.defer({ priority: 1 }).subscribe(() => note('second handler'));
    loop.exiting().subscribe(() => note('exit'));
    const finished = loop.run();
    note('run');
    await until(() => states.includes('second handler: running'));
    note('waiting');
    loop.exit();
    await finished;
    note('after');
    t.strictSame(states, [
      'before: initial',
      'run: pending',
      'prepare: preparing',
      'first handler: running',
      'second handler: running',
      'waiting: armed',
      'exit: exiting',
      'after: finished',
    ]);
  }),
);

t.test(
  'resolves with the exit code, 0 if none was given',
  leavingNothing(async (t) => {
    for (const [given, code] of [[undefined, 0] as const, [0, 0] as const, [7, 7] as const, [-1, -1] as const]) {
      using loop = new EventLoop();
      loop.time({ after: 1 }).subscribe(() => loop.exit(given));
      t.equal(await loop.run(), code);
    }
  }),
);

t.test(
  'exits at once when that was asked for before it ran, and runs its exit sources',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let exits = 0;
    loop.exiting().subscribe(() => exits++);
    loop.defer().subscribe(() => t.fail('the loop exits'));
    loop.exit(6);
    t.equal(await loop.run(), 6);
    t.equal(exits, 1);
  }),
);

t.test(
  'can be told to exit from outside of its handlers, while it waits',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    setTimeout(() => loop.exit(8), 20);
    t.equal(await finished, 8);
  }),
);

t.test('an exit code that is no integer is refused', (t) => {
  using loop = new EventLoop();
  t.throws(() => loop.exit(1.5), { name: 'RangeError' });
  t.throws(() => loop.exit(Number.NaN), { name: 'RangeError' });
  t.end();
});

t.test(
  'refuses to run while it runs, EBUSY, and goes on undisturbed',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    let subscribed = false;
    const program = new Observable(() => {
      subscribed = true;
    });
    await t.rejects(loop.run(program), { name: 'SystemError', code: 'EBUSY', message: /the loop runs already/ });
    await t.rejects(loop.run(throwError(() => new Error('program'))), { code: 'EBUSY' });
    t.notOk(subscribed, 'the program of a run that is refused is not subscribed to');
    await firstValueFrom(loop.defer());
    loop.exit(2);
    t.equal(await finished, 2);
  }),
);

t.test(
  'refuses to run again after it finished, ESTALE',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    loop.exit();
    await loop.run();
    await t.rejects(loop.run(), { name: 'SystemError', code: 'ESTALE', message: /the loop has finished/ });
  }),
);

t.test(
  'a subscription to a finished loop is an error, ESTALE, that names the source',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd(1);
    loop.exit();
    await loop.run();
    const description = 'the late one';
    const sources = [
      loop.io(event.number, { description }),
      loop.time({ after: 1, description }),
      loop.signal('SIGUSR2', { description }),
      loop.child(process.pid, { description }),
      loop.defer({ description }),
      loop.post({ description }),
      loop.exiting({ description }),
      loop.memoryPressure({ description }),
    ];
    for (const source of sources) {
      await t.rejects(firstValueFrom<unknown>(source), {
        code: 'ESTALE',
        message: /the loop has finished, .*the late one/,
      });
    }
  }),
);

t.test(
  'all sources complete when the loop finishes, and free what they hold',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd();
    const completed: string[] = [];
    const sources: Record<string, Observable<unknown>> = {
      io: loop.io(event.number),
      time: loop.time({ after: 3_600_000 }),
      every: loop.time({ every: 3_600_000, clock: 'boottime' }),
      signal: loop.signal('SIGRTMIN+18'),
      defer: loop.defer({ repeat: true, priority: 9 }),
      post: loop.post(),
      exiting: loop.exiting(),
      memory: loop.memoryPressure(),
    };
    for (const [name, source] of Object.entries(sources)) {
      source.subscribe({ complete: () => completed.push(name), error: (error) => t.fail(String(error)) });
    }
    loop.defer().subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(completed.sort(), Object.keys(sources).sort());
  }),
);

t.test(
  'subscribes to the program while it runs, and lets go of it afterwards',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const program = new Observable<never>(() => {
      trace.push(`subscribed, ${loop.state}`);
      return () => trace.push(`unsubscribed, ${loop.state}`);
    });
    t.equal(await loop.run(merge(program, loop.defer().pipe(tap(() => loop.exit(5))))), 5);
    t.strictSame(trace, ['subscribed, armed', 'unsubscribed, finished']);
  }),
);

t.test(
  'goes on when the program completes',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run(concat(of(1), EMPTY));
    await firstValueFrom(loop.time({ after: 5 }));
    loop.exit(3);
    t.equal(await finished, 3);
  }),
);

t.test(
  'an error of the program rejects, after the exit sources ran',
  leavingNothing(async (t) => {
    const failure = new Error('the program failed');
    for (const early of [true, false]) {
      using loop = new EventLoop();
      let exits = 0;
      let others = 0;
      loop.exiting().subscribe(() => exits++);
      loop.time({ after: 3_600_000 }).subscribe({ complete: () => others++ });
      const program = early
        ? throwError(() => failure)
        : loop.defer().pipe(
            tap(() => {
              throw failure;
            }),
          );
      await t.rejects(loop.run(program), failure);
      t.strictSame([exits, others, loop.state], [1, 1, 'finished']);
    }
  }),
);

t.test(
  'a program that subscribes again when its source completes does not fail for that at the end',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run(loop.time({ after: 1 }).pipe(repeat()));
    await firstValueFrom(loop.time({ after: 10 }));
    loop.exit(4);
    t.equal(await finished, 4);
  }),
);

t.test(
  'disposed of while it runs, it ends without its exit sources',
  leavingNothing(async (t) => {
    for (const within of [true, false]) {
      const loop = new EventLoop();
      let completed = 0;
      loop.exiting().subscribe({ next: () => t.fail('exiting'), complete: () => completed++ });
      loop.time({ after: 3_600_000 }).subscribe({ complete: () => completed++ });
      loop.signal('SIGRTMIN+18').subscribe({ complete: () => completed++ });
      const finished = loop.run();
      if (within) loop.defer().subscribe(() => loop[Symbol.dispose]());
      else loop[Symbol.dispose]();
      t.equal(await finished, 0);
      t.strictSame([completed, loop.state], [3, 'finished']);
      loop[Symbol.dispose]();
    }
  }),
);

t.test(
  'disposed of before it ran, it frees what its sources hold',
  leavingNothing(async (t) => {
    const loop = new EventLoop();
    for (const clock of ['monotonic', 'realtime', 'boottime'] as const) loop.time({ clock, after: 1 }).subscribe();
    loop.signal('SIGRTMIN+18').subscribe();
    loop[Symbol.dispose]();
    await t.rejects(loop.run(), { code: 'ESTALE' });
  }),
);

t.test('several loops run beside each other', async (t) => {
  const codes = Array.from({ length: 5 }, async (_, index) => {
    using loop = new EventLoop();
    loop.time({ after: 5 * (5 - index) }).subscribe(() => loop.exit(index));
    return await loop.run();
  });
  t.strictSame(await Promise.all(codes), [0, 1, 2, 3, 4]);
});

t.test(
  "Node's promises, timers and immediates go on beside a source that is always ready",
  onLoop(async (t, loop) => {
    const busy = loop.defer({ repeat: true }).subscribe();
    for (let round = 0; round < 10; round++) {
      await new Promise((resolve) => setImmediate(resolve));
      await new Promise((resolve) => setTimeout(resolve, 1));
      await new Promise((resolve) => process.nextTick(resolve));
    }
    busy.unsubscribe();
    t.pass();
  }),
);

t.test(
  "Node's timers go on while a thousand slow handlers are pending",
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let handled = 0;
    for (let index = 0; index < 1000; index++) {
      loop.defer().subscribe(() => {
        const end = performance.now() + 0.1;
        while (performance.now() < end);
        handled++;
      });
    }
    const finished = loop.run();
    await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
    t.ok(handled < 1000, `after ${handled} of 1000`);
    loop.defer({ priority: 1 }).subscribe(() => loop.exit());
    await finished;
    t.equal(handled, 1000);
  }),
);

t.test(
  "Node's timers and immediates that are always due do not starve the loop",
  onLoop(async (t, loop) => {
    using event = eventfd();
    let over = false;
    const immediate = (): void => {
      if (!over) setImmediate(immediate);
    };
    const timer = (): void => {
      if (!over) setTimeout(timer, 0);
    };
    immediate();
    timer();
    for (let round = 0; round < 20; round++) {
      const ready = firstValueFrom(loop.io(event.number));
      signalEvent(event.number);
      await ready;
      read(event.number, Buffer.alloc(8));
      await firstValueFrom(loop.time({ after: 1 }));
    }
    over = true;
    t.pass();
  }),
);

t.test('keeps Node alive while it runs, and no longer', (t) => {
  const { output, exit } = runNode('run-and-end');
  t.equal(output, 'started, came, finished with 3');
  t.match(exit, { code: 'exited', status: 3 });
  t.end();
});

t.test('keeps Node alive also without a source', (t) => {
  const { output, exit } = runNode('run-for-nothing');
  t.equal(output, 'finished with 9');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});

t.test('does not keep Node alive when it is not run', (t) => {
  const { output, exit } = runNode('never-run');
  t.equal(output, 'subscribed');
  t.match(exit, { code: 'exited', status: 0 });
  t.end();
});

t.test(
  'counts its iterations',
  onLoop(async (t, loop) => {
    const { iteration } = loop;
    await firstValueFrom(loop.defer());
    const later = loop.iteration;
    t.ok(later > iteration);
    await firstValueFrom(loop.time({ after: 1 }));
    t.ok(loop.iteration > later);
  }),
);

t.test('tells the time of its clocks in milliseconds', (t) => {
  using loop = new EventLoop();
  const before = Date.now();
  t.ok(loop.now('realtime') >= before && loop.now('realtime') < before + 60_000);
  const monotonic = loop.now();
  t.ok(Math.abs(monotonic - Number(process.hrtime.bigint()) / 1e6) < 60_000);
  t.ok(loop.now('boottime') >= monotonic);
  t.end();
});

t.test('options that make no sense are refused at once', (t) => {
  using loop = new EventLoop();
  t.throws(() => loop.defer({ priority: 1.5 }), { name: 'RangeError', message: /priority/ });
  t.throws(() => loop.io(0, { priority: Number.NaN }), { name: 'RangeError', message: /priority/ });
  t.throws(() => loop.post({ exitOnFailure: Number.NaN }), { name: 'RangeError', message: /exitOnFailure/ });
  t.end();
});

t.test(
  'a handler of a source may await what other sources bring',
  onLoop(async (t, loop) => {
    const trace: string[] = [];
    await new Promise<void>((resolve) => {
      loop.defer().subscribe(async () => {
        trace.push('begun');
        await firstValueFrom(loop.time({ after: 1 }));
        trace.push('done');
        resolve();
      });
    });
    t.strictSame(trace, ['begun', 'done']);
    const subscription = merge(NEVER, loop.post()).subscribe();
    subscription.unsubscribe();
  }),
);
