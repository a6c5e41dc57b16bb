import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import { EventLoop, exitOnSignal, idle, type Watch, watchdog } from '@sdrx/event';
import { LeftOverError, VirtualLoop } from '@sdrx/event/testing';
import {
  EPOLLET,
  EPOLLIN,
  EPOLLONESHOT,
  EPOLLOUT,
  IN_CLOSE_WRITE,
  IN_DELETE_SELF,
  IN_IGNORED,
  IN_MODIFY,
  IN_MOVED_TO,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  isOpen,
  pipe,
  signalNumber,
} from '@sdrx/linux';
import fc from 'fast-check';
import { BehaviorSubject, mergeMap, of, take, tap } from 'rxjs';
import t from 'tap';

const DAY = 86_400_000;

/** Runs a body with a loop that runs, and ends it. */
async function onLoop(body: (loop: VirtualLoop) => Promise<void> | void): Promise<void> {
  using loop = new VirtualLoop();
  const finished = loop.run();
  await body(loop);
  await loop.settle();
  loop.exit();
  await loop.settle();
  await finished;
}

t.test('a day passes at once, and not by itself', (t) =>
  onLoop(async (loop) => {
    const times: number[] = [];
    loop.time({ after: DAY }).subscribe(({ now }) => times.push(now));
    await setTimeout(20);
    await loop.advance(DAY - 1);
    t.strictSame(times, []);
    await loop.advance(1);
    t.strictSame(times, [DAY]);
  }),
);

t.test('all clocks begin where they are told to, and go on together', (t) => {
  using loop = new VirtualLoop({ realtime: 5000 });
  t.strictSame(
    (['monotonic', 'boottime', 'realtime', 'realtime-alarm'] as const).map((clock) => loop.now(clock)),
    [0, 0, 5000, 5000],
  );
  loop[Symbol.dispose]();
  using another = new VirtualLoop();
  t.equal(new Date(another.now('realtime')).toISOString(), '2026-01-01T00:00:00.000Z');
  t.throws(() => new VirtualLoop({ realtime: -1 }), RangeError);
  t.end();
});

t.test('timers come at their times, those of one time in the order in which they were set', (t) =>
  onLoop(async (loop) => {
    const came: string[] = [];
    const at = (name: string, after: number) =>
      loop.time({ after, accuracy: 0 }).subscribe(({ now }) => came.push(`${name} ${now}`));
    at('c', 30);
    at('a', 10);
    at('b', 20);
    at('b2', 20);
    await loop.advance(100);
    t.strictSame(came, ['a 10', 'b 20', 'b2 20', 'c 30']);
  }),
);

t.test('what a handler sets is due within the same advance', (t) =>
  onLoop(async (loop) => {
    let ticks = 0;
    loop
      .time({ every: 1000, accuracy: 0 })
      .pipe(take(5))
      .subscribe(() => ticks++);
    loop
      .time({ after: 10, accuracy: 0 })
      .pipe(mergeMap(() => loop.time({ after: 10, accuracy: 0 })))
      .subscribe(({ now }) => t.equal(now, 20));
    await loop.advance(5000);
    t.equal(ticks, 5);
  }),
);

t.test('promises of a handler go on before time does', (t) =>
  onLoop(async (loop) => {
    const seen: number[] = [];
    loop.time({ after: 10, accuracy: 0 }).subscribe(async () => {
      await Promise.resolve();
      await Promise.resolve();
      loop.time({ after: 5, accuracy: 0 }).subscribe(({ now }) => seen.push(now));
    });
    await loop.advance(100);
    t.strictSame(seen, [15]);
  }),
);

t.test('a machine that sleeps goes on with boottime and realtime alone', (t) =>
  onLoop(async (loop) => {
    const came: string[] = [];
    for (const clock of ['monotonic', 'boottime', 'realtime-alarm'] as const)
      loop.time({ clock, after: 1000, accuracy: 0 }).subscribe(() => came.push(clock));
    await loop.suspend(1000);
    t.strictSame(came.sort(), ['boottime', 'realtime-alarm']);
    await loop.advance(1000);
    t.equal(came.at(-1), 'monotonic');
  }),
);

t.test('a realtime clock that is set forward brings what was due', (t) =>
  onLoop(async (loop) => {
    let came = false;
    loop.time({ clock: 'realtime', at: loop.now('realtime') + DAY }).subscribe(() => (came = true));
    await loop.advance(1000);
    t.notOk(came);
    loop.setRealtime(loop.now('realtime') + 2 * DAY);
    await loop.settle();
    t.ok(came);
  }),
);

t.test('signals come with what is told of them: a standard one once, a real-time one as often as it is sent', (t) =>
  onLoop(async (loop) => {
    const seen: string[] = [];
    loop.signal('SIGUSR1').subscribe(({ pid, value }) => seen.push(`USR1 ${pid} ${value}`));
    loop.signal('SIGRTMIN+1').subscribe(({ value }) => seen.push(`RT ${value}`));
    loop.send('SIGRTMIN+1', { value: 1 });
    loop.send('SIGUSR1', { pid: 4711 });
    loop.send('SIGUSR1', { pid: 4712 });
    loop.send('SIGRTMIN+1', { value: 2 });
    await loop.settle();
    t.strictSame(seen.sort(), ['RT 1', 'RT 2', 'USR1 4711 0']);
    t.throws(() => loop.send('SIGTERM'), /nobody listens to SIGTERM/);
  }),
);

t.test('of several signals of one priority the lowest number comes first, as on Linux', (t) =>
  onLoop(async (loop) => {
    const seen: number[] = [];
    for (const signal of ['SIGUSR2', 'SIGHUP', 'SIGUSR1'] as const)
      loop.signal(signal).subscribe(({ signo }) => seen.push(signo));
    for (const signal of ['SIGUSR2', 'SIGUSR1', 'SIGHUP'] as const) loop.send(signal);
    await loop.settle();
    t.strictSame(
      seen,
      ['SIGHUP', 'SIGUSR1', 'SIGUSR2'].map((name) => signalNumber(name as 'SIGHUP')),
    );
  }),
);

t.test('a child stops, goes on and exits, and is reaped when its end was told', (t) =>
  onLoop(async (loop) => {
    const child = loop.startChild();
    const seen: string[] = [];
    loop
      .child(child.pid, { stopped: true, continued: true })
      .subscribe(({ code, status }) => seen.push(`${code} ${status} ${child.reaped}`));
    for (const act of [() => child.stop(19), () => child.continue(18), () => child.exit(3)]) {
      act();
      await loop.settle();
    }
    t.strictSame(seen, ['stopped 19 false', 'continued 18 false', 'exited 3 false']);
    t.ok(child.reaped);
    t.throws(() => child.exit(), /has ended already/);
  }),
);

t.test('SIGCHLD comes with whatever a child does', (t) =>
  onLoop(async (loop) => {
    const seen: string[] = [];
    loop.startChild().exit();
    loop.signal('SIGCHLD').subscribe(({ pid, code }) => seen.push(`${pid} ${code}`));
    const child = loop.startChild();
    for (const act of [() => child.stop(19), () => child.continue(18), () => child.die(9, 'dumped')]) {
      act();
      await loop.settle();
    }
    t.strictSame(seen, [`${child.pid} 5`, `${child.pid} 6`, `${child.pid} 3`], 'as sigaction(2) has it');
    for (const { pid } of [child, { pid: child.pid - 1 }]) loop.child(pid).subscribe();
  }),
);

t.test('a child that somebody else reaps', (t) =>
  onLoop(async (loop) => {
    const child = loop.startChild();
    const seen: string[] = [];
    loop.child(child.pid).subscribe({ error: ({ code }) => seen.push(code) });
    // The observer of its end may do it itself.
    const another = loop.startChild();
    loop.child(another.pid).subscribe({ next: () => another.reap(), complete: () => seen.push('complete') });
    t.throws(() => child.reap(), /runs/);
    child.exit();
    child.reap();
    another.exit();
    await loop.settle();
    t.strictSame(seen, ['ECHILD', 'complete']);
    t.throws(() => child.reap(), { code: 'ECHILD' });
  }),
);

t.test('a child that is owned ends with the subscription; one that nobody knows can not be watched', (t) =>
  onLoop(async (loop) => {
    const child = loop.startChild();
    const subscription = loop.child(child.pid, { own: true }).subscribe();
    await loop.settle();
    subscription.unsubscribe();
    t.strictSame([child.ended, child.reaped], [true, true]);
    loop.child(4711).subscribe({ error: ({ code }) => t.equal(code, 'ECHILD') });
  }),
);

t.test('a descriptor is ready as long as it says so, by level, edge or once', (t) =>
  onLoop(async (loop) => {
    using descriptor = loop.openDescriptor();
    const seen: string[] = [];
    const level = loop.io(descriptor.number).subscribe(({ revents }) => {
      seen.push(`level ${revents}`);
      descriptor.unready(EPOLLIN);
    });
    const edge = loop
      .io(descriptor.number, { events: EPOLLIN | EPOLLET, priority: -1 })
      .subscribe(({ revents }) => seen.push(`edge ${revents}`));
    descriptor.ready(EPOLLIN);
    await loop.settle();
    t.strictSame(seen, ['edge 1', 'level 1']);
    level.unsubscribe();
    descriptor.ready(EPOLLIN);
    await loop.settle();
    t.strictSame(seen.slice(2), ['edge 1']);
    descriptor.ready(EPOLLOUT);
    await loop.settle();
    t.equal(seen.length, 3, 'what is not asked for is no edge');
    edge.unsubscribe();
    descriptor.unready(EPOLLOUT);
    const mask = new BehaviorSubject(EPOLLIN | EPOLLONESHOT);
    const once = loop.io(descriptor.number, { events: mask }).subscribe(() => seen.push('once'));
    await loop.settle();
    mask.next(EPOLLIN | EPOLLONESHOT);
    await loop.settle();
    t.strictSame(seen.slice(3), ['once', 'once']);
    once.unsubscribe();
    const writable = loop.io(descriptor.number, { events: EPOLLOUT }).subscribe(() => t.fail('it is not writable'));
    await loop.settle();
    writable.unsubscribe();
    loop.io(0).subscribe({ error: ({ code }) => t.equal(code, 'EBADF', 'a real one is none of its') });
  }),
);

t.test('a descriptor that is owned is closed with the subscription', (t) =>
  onLoop(async (loop) => {
    const descriptor = loop.openDescriptor();
    const subscription = loop.io(descriptor.number, { own: true }).subscribe();
    await loop.settle();
    t.notOk(descriptor.closed);
    subscription.unsubscribe();
    t.ok(descriptor.closed);
    loop.io(descriptor.number).subscribe({ error: ({ code }) => t.equal(code, 'EBADF') });
    const [fd, peer] = pipe();
    loop.io(fd, { own: true }).subscribe({ error: ({ code }) => t.equal(code, 'EBADF') });
    t.notOk(isOpen(fd.number) || fd.number >= 0, 'a real one is closed, too, though it can not be waited for');
    peer.close();
  }),
);

t.test('a regular file can not be waited for', (t) =>
  onLoop((loop) => {
    using descriptor = loop.openDescriptor({ pollable: false });
    loop.io(descriptor.number).subscribe({ error: ({ code }) => t.equal(code, 'EPERM'), next: () => t.fail() });
    t.equal(loop.sources().length, 0);
    // @ts-expect-error
    t.throws(() => loop.openDescriptor({ pollable: 1 }), TypeError);
  }),
);

t.test('a watch that was disposed of tells nothing, whatever is done with it', (t) =>
  onLoop(async (loop) => {
    using descriptor = loop.openDescriptor();
    let told = 0;
    const watches: Watch[] = [];
    const subscription = loop
      .source<void>('told', (source, kernel) => {
        const ready = (): void => {
          told++;
          descriptor.unready(EPOLLIN);
        };
        watches.push(source.use(kernel.watch(descriptor.number, EPOLLIN, ready)));
        return {};
      })
      .subscribe();
    descriptor.ready(EPOLLIN);
    await loop.settle();
    t.equal(told, 1);
    subscription.unsubscribe();
    descriptor.ready(EPOLLIN);
    for (const watch of watches) {
      watch.pause(true);
      watch.pause(false);
      watch.change(EPOLLIN);
    }
    await loop.settle();
    t.equal(told, 1);
  }),
);

t.test('what is taken in parts is told until all is taken, also while nothing becomes pending', (t) =>
  onLoop(async (loop) => {
    using descriptor = loop.openDescriptor();
    let left = 3;
    const parts = loop.source<void>('parts', (source, kernel) => {
      const ready = (): void => {
        if (--left === 0) descriptor.unready(EPOLLIN);
      };
      source.use(kernel.watch(descriptor.number, EPOLLIN, ready));
      return {};
    });
    const subscription = parts.subscribe();
    descriptor.ready(EPOLLIN);
    await loop.settle();
    t.equal(left, 0);
    subscription.unsubscribe();
  }),
);

t.test('a file that is touched, and one that is gone', (t) =>
  onLoop(async (loop) => {
    const seen: string[] = [];
    loop.inotify('/etc/x', { mask: IN_MODIFY | IN_CLOSE_WRITE }).subscribe({
      next: ({ mask, name }) => seen.push(`${mask} ${name}`),
      complete: () => seen.push('complete'),
    });
    t.ok(loop.touch('/etc/x', { mask: IN_MODIFY, name: 'a' }));
    t.notOk(loop.touch('/etc/y', { mask: IN_MODIFY }));
    loop.touch('/etc/x', { mask: IN_IGNORED });
    await loop.settle();
    t.strictSame(seen, [`${IN_MODIFY} a`, `${IN_IGNORED} `, 'complete']);
  }),
);

t.test(
  'of equal events of a file that follow each other there is one, and those of before are not told to who comes later',
  (t) =>
    onLoop(async (loop) => {
      const seen: string[] = [];
      const former = loop.inotify('/etc/x').subscribe(() => seen.push('former'));
      loop.touch('/etc/x', { mask: IN_MODIFY });
      former.unsubscribe();
      loop.inotify('/etc/x').subscribe(({ name }) => seen.push(name));
      for (const name of ['a', 'a', 'b', 'a']) loop.touch('/etc/x', { mask: IN_MODIFY, name });
      await loop.settle();
      t.strictSame(seen, ['a', 'b', 'a']);
    }),
);

t.test('when more happens than the queue takes, all are told that events are missing', (t) =>
  onLoop(async (loop) => {
    const masks: number[] = [];
    const file = loop.inotify('/etc/x', { mask: IN_MODIFY }).subscribe(({ mask }) => masks.push(mask));
    loop.inotify('/etc/y', { mask: IN_MODIFY }).subscribe(({ mask }) => masks.push(mask));
    for (let count = 0; count < 17_000; count++) loop.touch('/etc/x', { mask: IN_MODIFY, name: `${count}` });
    await loop.settle();
    t.equal(masks.length, 16_384 + 2);
    t.equal(masks.filter((mask) => mask === IN_Q_OVERFLOW).length, 2);
    masks.length = 0;
    file.unsubscribe();
    t.notOk(loop.touch('/etc/x', { mask: IN_Q_OVERFLOW }), 'nobody watches it');
    await loop.settle();
    t.strictSame(masks, [IN_Q_OVERFLOW]);
  }),
);

t.test('a directory that was made', (t) =>
  onLoop(async (loop) => {
    const directory = loop.makeDirectory('/etc/app');
    const seen: string[] = [];
    const watch = (path: string, mask: number) =>
      loop.inotify(path, { mask }).subscribe({
        next: (event) => seen.push(`${path} ${event.mask.toString(16)} ${event.name}`),
        error: ({ code }) => seen.push(`${path} ${code}`),
        complete: () => seen.push(`${path} complete`),
      });
    watch('/etc/app', IN_CLOSE_WRITE | IN_MOVED_TO);
    watch('/etc/app/missing', IN_MODIFY);
    directory.write('old');
    watch('/etc/app/old', IN_MODIFY | IN_ONLYDIR);
    watch('/etc/app/old/x', IN_MODIFY);
    watch('/etc/app/old', IN_MODIFY | IN_DELETE_SELF);
    // As editors do it.
    directory.write('new');
    directory.rename('new', 'old');
    t.equal(directory.makeDirectory('within').path, '/etc/app/within');
    await loop.settle();
    t.strictSame(seen, [
      '/etc/app/missing ENOENT',
      '/etc/app/old ENOTDIR',
      '/etc/app/old/x ENOTDIR',
      '/etc/app 8 old',
      '/etc/app/old 400 ',
      '/etc/app 8 new',
      '/etc/app/old 8000 ',
      '/etc/app/old complete',
      '/etc/app 80 old',
    ]);
    t.throws(() => loop.makeDirectory('/etc/app'), { code: 'EEXIST' });
    t.throws(() => loop.makeDirectory('/etc/app/a/b'), { code: 'ENOENT' });
    t.throws(() => loop.touch('/etc/app/a', { mask: IN_MODIFY }), { code: 'ENOENT' });
    for (const path of ['', '/a', '../a', 'a//b', './a']) t.throws(() => directory.write(path), RangeError);
    // @ts-expect-error
    t.throws(() => directory.remove(1), TypeError);
    // @ts-expect-error
    t.throws(() => loop.makeDirectory(), TypeError);
    const file = directory.open('old');
    file[Symbol.dispose]();
    t.throws(() => file.write(), { code: 'EBADF' });
  }),
);

t.test('a handler that takes long keeps the others waiting', (t) =>
  onLoop(async (loop) => {
    const came: string[] = [];
    loop
      .time({ every: 100, accuracy: 0 })
      .pipe(take(2))
      .subscribe(({ scheduled, now }) => {
        came.push(`${scheduled} ${now}`);
        const before = loop.now();
        if (came.length === 1) loop.busy(250);
        t.equal(loop.now(), before, 'within a handler the time stands still');
      });
    await loop.advance(400);
    t.strictSame(came, ['100 100', '400 400'], 'what has passed is left out');
    t.throws(() => loop.busy(-1), RangeError);
  }),
);

t.test('time goes on until something is due', (t) =>
  onLoop(async (loop) => {
    const came: number[] = [];
    for (const after of [30, 10]) loop.time({ after, accuracy: 0 }).subscribe(({ now }) => came.push(now));
    t.equal(await loop.advanceToNext(), 10);
    t.strictSame(came, [10]);
    t.equal(await loop.advanceToNext(), 20);
    t.strictSame(came, [10, 30]);
    await t.rejects(loop.advanceToNext(), /nothing will happen any more/);
  }),
);

t.test('memory pressure that is turned off', (t) => {
  process.env.MEMORY_PRESSURE_WATCH = '/dev/null';
  t.teardown(() => delete process.env.MEMORY_PRESSURE_WATCH);
  return onLoop((loop) => {
    t.plan(1);
    loop.memoryPressure().subscribe({ error: ({ code }) => t.equal(code, 'EHOSTDOWN') });
    loop.press();
  });
});

t.test('memory pressure, deferred and posted work, and what is done at the exit', async (t) => {
  using loop = new VirtualLoop();
  const seen: string[] = [];
  const finished = loop.run();
  loop
    .memoryPressure()
    .pipe(take(1))
    .subscribe(() => seen.push('pressure'));
  loop
    .post()
    .pipe(take(1))
    .subscribe(() => seen.push('post'));
  loop.defer().subscribe(() => seen.push('defer'));
  loop.exiting().subscribe(() => seen.push('exiting'));
  loop.press();
  await loop.settle();
  loop.exit(3);
  await loop.finish();
  t.equal(await finished, 3);
  t.strictSame(seen, ['defer', 'pressure', 'post', 'exiting']);
});

t.test('a rate limit counts virtual time', (t) =>
  onLoop(async (loop) => {
    const child = loop.startChild();
    let count = 0;
    const signals = loop.signal('SIGUSR1', { ratelimit: { interval: 1000, burst: 2 } }).subscribe(() => count++);
    for (let sent = 0; sent < 5; sent++) {
      loop.send('SIGUSR1');
      await loop.settle();
    }
    t.equal(count, 2);
    t.match(loop.sources(), [{ kind: 'signal', pending: true, dispatches: 2, suspendedUntil: 1000 }]);
    await loop.advance(1000);
    t.equal(count, 4);
    await loop.advance(1000);
    t.equal(count, 5);
    signals.unsubscribe();
    child.exit();
    loop.child(child.pid).subscribe();
  }),
);

t.test('a service: idle exit after a day, signs of life all the while', async (t) => {
  process.env.WATCHDOG_USEC = String(3_600_000_000);
  t.teardown(() => delete process.env.WATCHDOG_USEC);
  using loop = new VirtualLoop();
  let signs = 0;
  const underWay = new BehaviorSubject(1);
  const finished = loop.run();
  watchdog(loop).subscribe(() => signs++);
  idle(loop, [underWay], { after: DAY, minimumUptime: 0 }).subscribe(() => loop.exit(5));
  const stops = exitOnSignal(loop).subscribe();
  await loop.advance(DAY);
  t.equal(loop.state, 'armed');
  t.equal(signs, 49);
  underWay.next(0);
  await loop.finish();
  t.equal(await finished, 5);
  // Timers wait up to a millisecond for company.
  t.ok(loop.now('monotonic') - 2 * DAY <= 1);
  stops.unsubscribe();
});

t.test('what can not end says what it waits for', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const waiting = loop.signal('SIGTERM', { description: 'the end' }).subscribe();
  await t.rejects(loop.finish(), { message: /nothing will happen any more; the loop waits for signal 'the end'/ });
  waiting.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
});

t.test('a loop that never comes to rest says who keeps it from that', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const busy = loop.defer({ repeat: true, description: 'without end' }).subscribe();
  await t.rejects(loop.settle(), { message: /never comes to rest: defer 'without end'/ });
  busy.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
});

t.test('what is left is an error that names it', async (t) => {
  const loop = new VirtualLoop();
  const subscriptions = [loop.time({ after: 1, description: 'alarm' }).subscribe(), loop.signal('SIGHUP').subscribe()];
  const child = loop.startChild();
  loop.startChild().exit();
  const descriptor = loop.openDescriptor();
  loop.makeDirectory('/etc/app').open('x');
  t.throws(() => loop[Symbol.dispose](), {
    name: 'LeftOverError',
    left: [
      "time 'alarm'",
      'a source of kind signal',
      `child ${child.pid}, which runs`,
      `the end of child ${child.pid + 1}, which nobody reaped`,
      `descriptor ${descriptor.number}`,
      'file /etc/app/x, which is open',
    ],
  });
  t.ok(
    subscriptions.every(({ closed }) => closed),
    'it is freed all the same',
  );
  t.doesNotThrow(() => loop[Symbol.dispose]());
  t.ok(new LeftOverError(['x']).message.endsWith(': x'));
});

t.test('timers of any kind come in the order of their times', (t) =>
  fc
    .assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.nat(50), fc.integer({ min: -2, max: 2 })), { maxLength: 40 }),
        async (timers) => {
          await onLoop(async (loop) => {
            const came: number[] = [];
            for (const [after, priority] of timers)
              loop.time({ after, priority, accuracy: 0 }).subscribe(({ scheduled, now }) => {
                t.equal(now, scheduled);
                came.push(after * 10 + priority);
              });
            await loop.advance(50);
            t.equal(came.length, timers.length);
            t.strictSame(
              came,
              [...came].sort((a, b) => a - b),
            );
          });
        },
      ),
      { numRuns: 50 },
    )
    .then(() => t.end()),
);

t.test('a loop tells what it has', async (t) => {
  using loop = new EventLoop();
  t.strictSame(loop.sources(), []);
  loop.time({ after: 1e9, description: 'far away', priority: 7 }).subscribe();
  loop.defer().subscribe();
  const base = { description: undefined, priority: 0, pending: true, dispatches: 0, suspendedUntil: undefined };
  t.strictSame(loop.sources(), [
    { ...base, kind: 'time', description: 'far away', priority: 7, pending: false },
    { ...base, kind: 'defer' },
  ]);
  t.match(inspect(loop), /EventLoop.*state: 'initial'.*far away/s);
  const finished = loop.run(of(1).pipe(tap(() => loop.exit())));
  await finished;
  t.strictSame(loop.sources(), []);
});

t.test('loops beside each other have one time, and all get their turns', async (t) => {
  using first = new VirtualLoop({ realtime: 5000 });
  await first.advance(100);
  using second = new VirtualLoop({ beside: first });
  const came: string[] = [];
  const loops = [
    ['first', first],
    ['second', second],
  ] as const;
  const finished = loops.map(([name, loop]) =>
    loop.run(loop.time({ every: 10, accuracy: 0 }).pipe(tap(() => came.push(`${name} ${loop.now()}`)))),
  );
  await second.advance(20);
  t.strictSame(came, ['first 110', 'second 110', 'first 120', 'second 120']);
  t.equal(second.now('realtime'), first.now('realtime'));
  second.setRealtime(9000);
  await first.suspend(7);
  t.equal(first.now('realtime'), 9007);
  t.equal(second.now('boottime'), 127);
  for (const [, loop] of loops) loop.exit();
  await first.settle();
  t.strictSame(await Promise.all(finished), [0, 0]);
});

t.test('a process that is stopped has no turns until it goes on, one that was killed never', async (t) => {
  using world = new VirtualLoop();
  using stopped = new VirtualLoop({ beside: world });
  using killed = new VirtualLoop({ beside: world });
  const came: string[] = [];
  void stopped.run(stopped.time({ after: 10, accuracy: 0 }).pipe(tap(() => came.push('stopped'))));
  void killed.run(killed.time({ after: 10, accuracy: 0 }).pipe(tap(() => came.push('killed'))));
  killed.openDescriptor();
  await world.settle();
  stopped.freeze();
  killed.kill();
  await world.advance(50);
  t.strictSame(came, []);
  stopped.freeze(false);
  await world.advance(0);
  t.strictSame(came, ['stopped']);
  stopped.exit();
  await stopped.finish();
});
