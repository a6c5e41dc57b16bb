import { setTimeout } from 'node:timers/promises';
import {
  exitOnSignal,
  fdStoreLimit,
  notify,
  notifyBarrier,
  reloading,
  removeStoredFds,
  storeFds,
  watchdog,
  watchdogTimeout,
} from '@sdrx/event';
import {
  ServiceFailureError,
  VirtualLoop,
  type VirtualServiceManager,
  type VirtualServiceManagerOptions,
} from '@sdrx/event/testing';
import { duplicate, EPOLLIN, pipe, read, write } from '@sdrx/linux';
import fc from 'fast-check';
import { merge, race, take, tap } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { withEnvironment } from './environment.js';

/** Runs a body with a loop that runs and has a service manager, and ends it. */
async function withManager(
  options: VirtualServiceManagerOptions,
  body: (loop: VirtualLoop, manager: VirtualServiceManager) => Promise<void> | void,
): Promise<void> {
  using loop = new VirtualLoop();
  const manager = loop.startServiceManager(options);
  const finished = loop.run();
  await body(loop, manager);
  loop.exit();
  await loop.finish();
  await finished;
}

/** What a call that lets time pass fails with. */
async function failureOf(passing: Promise<unknown>): Promise<ServiceFailureError> {
  const error: unknown = await passing.then(
    () => undefined,
    (reason) => reason,
  );
  if (!(error instanceof ServiceFailureError)) throw new Error('the service has not failed', { cause: error });
  return error;
}

/** When what was told, each message in a line. */
function told({ notifications }: VirtualServiceManager): string[] {
  return notifications.map(({ at, variables }) =>
    [at, ...Object.entries(variables).map((variable) => variable.join('='))].join(' '),
  );
}

t.test(
  'a program is started, reloaded and stopped, and what it says is there with its time',
  leavingNothing(async (t) => {
    using loop = new VirtualLoop();
    const manager = loop.startServiceManager();
    const reloads = reloading(loop, () => loop.time({ after: 50, accuracy: 0 }));
    const farewell = loop.exiting().pipe(tap(() => notify({ STOPPING: 1 })));
    const finished = loop.run(merge(exitOnSignal(loop), reloads, farewell));
    t.equal(manager.state, 'activating');
    await loop.advance(1000);
    t.ok(notify({ READY: 1, STATUS: 'a = b' }));
    t.strictSame([manager.state, manager.status], ['active', 'a = b'], 'at once');
    await loop.advance(1000);
    manager.reload();
    t.equal(manager.state, 'reloading');
    await loop.advance(49);
    t.equal(manager.state, 'reloading');
    await loop.advance(1);
    t.equal(manager.state, 'active');
    manager.stop();
    t.equal(manager.state, 'deactivating');
    await loop.finish();
    t.equal(await finished, 0);
    t.equal(manager.state, 'inactive');
    t.strictSame(told(manager), [
      '1000 READY=1 STATUS=a = b',
      '2000 RELOADING=1 MONOTONIC_USEC=2000000',
      '2050 READY=1',
      '2050 STOPPING=1',
    ]);
  }),
);

t.test(
  'what is told within a handler is told before the time that it takes',
  leavingNothing(async (t) =>
    withManager({}, async (loop, manager) => {
      loop.time({ after: 10, accuracy: 0 }).subscribe(() => {
        notify({ READY: 1 });
        loop.busy(500);
        notify({ STATUS: 'later' });
      });
      await loop.advance(1000);
      t.strictSame(told(manager), ['10 READY=1', '510 STATUS=later']);
    }),
  ),
);

t.test(
  'a thousand messages at a time come all, in order, at this time',
  leavingNothing(async (t) =>
    withManager({}, async (loop, manager) => {
      loop.defer().subscribe(() => {
        // As many as there is room for in the process.
        for (let number = 0; number < 200; number++) notify({ X_NUMBER: `${number}` });
      });
      await loop.advance(1);
      t.strictSame(
        told(manager),
        Array.from({ length: 200 }, (_, number) => `0 X_NUMBER=${number}`),
      );
      for (let number = 0; number < 800; number++) {
        notify({ X_NUMBER: `${number}` });
        t.equal(manager.notifications.length, 201 + number);
      }
    }),
  ),
);

t.test(
  'a barrier is answered when all before it was dealt with, or when the manager has time',
  leavingNothing(async (t) =>
    withManager({}, async (loop, manager) => {
      const came: string[] = [];
      notify({ READY: 1 });
      notifyBarrier(loop).subscribe({
        next: () => came.push(`${loop.now()} ${manager.state}`),
        complete: () => came.push('complete'),
      });
      await loop.settle();
      t.strictSame(came, ['0 active', 'complete']);
      t.match(manager.notifications, [{ fds: 0 }, { variables: { BARRIER: '1' }, fds: 1 }]);

      for (const options of [{}, { full: true }]) {
        manager.stall(options);
        race(notifyBarrier(loop), loop.time({ after: 500, accuracy: 0 })).subscribe((value) => came.push(`${value}`));
        notifyBarrier(loop).subscribe(() => came.push(`${loop.now()}`));
        await loop.advance(1000);
        t.strictSame(came.splice(0), options.full ? ['[object Object]'] : ['0 active', 'complete', '[object Object]']);
        manager.resume();
        await loop.settle();
        t.strictSame(came.splice(0), [`${loop.now()}`]);
      }
      // Nobody answers who is not there.
      manager.stall();
      notifyBarrier(loop).subscribe(() => came.push('gone'));
      manager.refuse();
      notifyBarrier(loop).subscribe({ error: ({ code }) => came.push(code) });
      await loop.settle();
      t.strictSame(came, ['ECONNREFUSED', 'gone'], 'the kernel closes what is in a socket that is closed');
      manager.resume();
      notify({ STATUS: 'there' });
      t.equal(manager.status, 'there');
    }),
  ),
);

t.test(
  'a manager that reads nothing: messages wait in order, the newest status and sign of life only, and beyond 256 there is ENOBUFS',
  leavingNothing(async (t) =>
    withManager({}, async (loop, manager) => {
      manager.stall({ full: true });
      for (let number = 0; number < 100; number++) {
        notify({ STATUS: `${number}` });
        notify({ WATCHDOG: 1 });
      }
      for (let number = 0; number < 254; number++) notify({ X_NUMBER: `${number}` });
      t.throws(() => notify({ READY: 1 }), { code: 'ENOBUFS' });
      await loop.advance(700);
      // Time that is real passes for what waits.
      await setTimeout(20);
      t.strictSame(manager.notifications, []);
      manager.resume();
      t.strictSame(told(manager), [
        '700 STATUS=99',
        '700 WATCHDOG=1',
        ...Array.from({ length: 254 }, (_, number) => `700 X_NUMBER=${number}`),
      ]);
    }),
  ),
);

t.test(
  'a service that is not ready in time, and one that says that it takes longer',
  leavingNothing(async (t) => {
    await withManager({ startTimeout: 1000 }, async (loop, manager) => {
      await loop.advance(999);
      t.match(await failureOf(loop.advance(5000)), {
        name: 'ServiceFailureError',
        result: 'timeout',
        at: 1000,
        message: 'the service manager, at 1000 ms: no READY=1 in time after the start (TimeoutStartSec=)',
      });
      t.equal(loop.now(), 1000);
      t.equal(manager.state, 'failed');
      notify({ READY: 1 });
      await loop.advance(90_000);
      t.equal(manager.state, 'failed', 'once');
    });
    await withManager({ startTimeout: 1000 }, async (loop, manager) => {
      await loop.advance(500);
      // Shorter than what there is.
      notify({ EXTEND_TIMEOUT_USEC: 100_000 });
      await loop.advance(400);
      notify({ EXTEND_TIMEOUT_USEC: 300_000 });
      await loop.advance(299);
      notify({ EXTEND_TIMEOUT_USEC: 2_000_000 });
      await loop.advance(1999);
      notify({ EXTEND_TIMEOUT_USEC: 1000 });
      t.match(await failureOf(loop.finish()), { result: 'timeout', at: 3199 });
      t.equal(manager.state, 'failed');
    });
    await withManager({ startTimeout: 1000 }, async (loop, manager) => {
      await loop.advance(999);
      loop.busy(1);
      notify({ READY: 1 });
      await loop.advance(100_000);
      t.equal(manager.state, 'active', 'just in time');
    });
  }),
);

t.test(
  'a service that does not end in time',
  leavingNothing(async (t) => {
    for (const how of ['asked', 'by itself'])
      await withManager({ stopTimeout: 700 }, async (loop, manager) => {
        const ignoring = loop.signal('SIGTERM').subscribe();
        notify({ READY: 1 });
        await loop.advance(300);
        if (how === 'asked') manager.stop();
        else notify({ STOPPING: 1 });
        await loop.advance(100);
        notify({ STOPPING: 1, EXTEND_TIMEOUT_USEC: 800_000 });
        notify({ READY: 1 });
        t.match(await failureOf(loop.finish()), {
          result: 'timeout',
          message: 'the service manager, at 1200 ms: the service has not ended in time (TimeoutStopSec=)',
        });
        ignoring.unsubscribe();
      });
    await withManager({}, (_, manager) => {
      t.throws(() => manager.stop(), /nobody listens to SIGTERM/);
    });
  }),
);

t.test(
  'a reload that is not done in time has failed, and the service goes on',
  leavingNothing(async (t) =>
    withManager({ startTimeout: 500 }, async (loop, manager) => {
      t.throws(() => manager.reload(), /a service that is activating is not reloaded/);
      notify({ READY: 1 });
      t.throws(() => manager.reload(), /nobody listens to SIGHUP/);
      t.equal(manager.state, 'active');
      loop.signal('SIGHUP').subscribe();
      manager.reload();
      // Of a reload before this one.
      notify({ RELOADING: 1, MONOTONIC_USEC: 0 });
      await loop.advance(100);
      manager.stall();
      manager.resume();
      const late = /at 500 ms: no READY=1 in time after a reload was begun/;
      await t.rejects(loop.advance(1000), late);
      t.equal(manager.state, 'reloading', 'as it still says');
      notify({ READY: 1 });
      t.equal(manager.state, 'active');
      manager.reload();
      notify({ RELOADING: 1, MONOTONIC_USEC: loop.now() * 1e3 - 1 });
      notify({ READY: 1 });
      t.equal(manager.state, 'reloading', 'that is not what was asked for');
      await t.rejects(loop.advance(1000), /at 1000 ms: no RELOADING=1 with MONOTONIC_USEC in time/);
      manager.reload();
      notify({ RELOADING: 1, READY: 1, MONOTONIC_USEC: loop.now() * 1e3 });
      t.equal(manager.state, 'active', 'both at a time');
      notify({ RELOADING: 1 });
      t.equal(manager.state, 'reloading', 'by itself');
      notify({ READY: 1 });
      await loop.advance(1000);
      notify({ RELOADING: 1 });
      notify({ STOPPING: 1 });
      t.equal(manager.state, 'deactivating');
    }),
  ),
);

t.test(
  'while it starts a service does not end by what it says',
  leavingNothing(async (t) =>
    withManager({ startTimeout: 500 }, async (loop, manager) => {
      notify({ STOPPING: 1 });
      notify({ RELOADING: 1 });
      t.equal(manager.state, 'activating');
      notify({ READY: 1 });
      await loop.advance(1000);
      t.equal(manager.state, 'active');
    }),
  ),
);

t.test(
  'a service that gives no sign of life in time',
  leavingNothing(async (t) => {
    await withManager({ watchdog: 2000 }, async (loop, manager) => {
      t.equal(watchdogTimeout(), 2000);
      const signs = watchdog(loop).subscribe();
      await loop.advance(5000);
      t.equal(manager.state, 'activating');
      notify({ READY: 1 });
      await loop.advance(3_600_000);
      t.equal(manager.state, 'active');
      // The newest one was a second ago at most.
      loop.busy(3000);
      t.match(await failureOf(loop.settle()), {
        result: 'watchdog',
        message: /: no WATCHDOG=1 for 2000 ms \(WatchdogSec=\)$/,
      });
      signs.unsubscribe();
    });
    await withManager({ watchdog: 2000 }, async (loop, manager) => {
      await loop.advance(5000);
      t.equal(manager.state, 'activating', 'as long as it is not ready it need not begin');
      notify({ WATCHDOG: 1 });
      t.match(await failureOf(loop.advance(5000)), { result: 'watchdog', at: 7000 }, 'but then it is to go on');
    });
    await withManager({ watchdog: 2000 }, async (loop, manager) => {
      notify({ READY: 1 });
      await loop.advance(1000);
      notify({ WATCHDOG: 1, STOPPING: 1 });
      await loop.advance(1000);
      notify({ WATCHDOG: 1 });
      t.match(await failureOf(loop.advance(5000)), { result: 'watchdog', at: 4000 });
      t.equal(manager.state, 'failed');
    });
    await withManager({ watchdog: 2000, stopTimeout: 50_000 }, async (loop, manager) => {
      notify({ READY: 1 });
      notify({ STOPPING: 1 });
      await loop.advance(49_000);
      t.equal(manager.state, 'deactivating', 'one that ends and gives none need not begin again');
    });
    await withManager({}, async (loop) => {
      t.equal(watchdogTimeout(), undefined);
      notify({ READY: 1 });
      await loop.advance(1e9);
      notify({ WATCHDOG_USEC: 5_000_000 });
      await loop.advance(4999);
      notify({ WATCHDOG: 1, EXTEND_TIMEOUT_USEC: 9_000_000 });
      await loop.advance(4000);
      notify({ EXTEND_TIMEOUT_USEC: 9_000_000 });
      t.match(await failureOf(loop.advance(1e6)), { result: 'watchdog', at: 1e9 + 8999 + 9000 });
    });
    await withManager({}, async (loop, manager) => {
      notify({ WATCHDOG: 'trigger' });
      await t.rejects(loop.settle(), /at 0 ms: WATCHDOG=trigger$/);
      t.equal(manager.state, 'failed');
    });
  }),
);

t.test(
  'a manager that has no time ends nobody, and reads before it looks who is late',
  leavingNothing(async (t) =>
    withManager({ watchdog: 1000 }, async (loop, manager) => {
      notify({ READY: 1 });
      await loop.settle();
      manager.stall();
      await loop.advance(5000);
      notify({ WATCHDOG: 1 });
      manager.resume();
      await loop.advance(999);
      t.equal(manager.state, 'active');
      manager.stall();
      await loop.advance(5000);
      manager.resume();
      t.match(await failureOf(loop.settle()), { result: 'watchdog', at: 6000 });
    }),
  ),
);

t.test(
  'descriptors are kept by name, as many as there is room for, none twice, and until they hang up',
  leavingNothing(async (t) =>
    withManager({ fdStoreMax: 4 }, async (loop, manager) => {
      const names = () => manager.storedFds.map(({ name }) => name);
      t.equal(fdStoreLimit(), 4);
      const [reader, writer] = pipe();
      const [other, otherWriter] = pipe();
      using copy = duplicate(reader.number);
      t.ok(storeFds('one', [reader.number, copy.number, writer.number]));
      t.ok(storeFds('two', [other.number], { poll: false }));
      t.strictSame(names(), ['one', 'one', 'two'], 'a copy is the same open file');
      notify({ FDSTORE: 1 }, [otherWriter.number]);
      t.strictSame(names(), ['one', 'one', 'two', 'stored']);
      const [more, moreWriter] = pipe();
      t.ok(storeFds('three', [more.number]));
      t.equal(manager.storedFds.length, 4, 'there is no room');
      // Not blocking as before.
      t.equal(manager.notifications.at(-1)?.fds, 1);
      t.ok(removeStoredFds('stored'));
      t.strictSame(names(), ['one', 'one', 'two']);
      for (const fd of [writer, otherWriter, more, moreWriter]) fd.close();
      await loop.settle();
      t.strictSame(names(), ['one', 'one', 'two'], 'the manager has a writer itself');
      t.ok(removeStoredFds('one'));
      t.ok(storeFds('one', [reader.number]));
      await loop.settle();
      t.strictSame(names(), ['two'], 'whose end is not looked at');
      reader.close();
      other.close();
    }),
  ),
);

t.test('real descriptors of others can not be waited for, pipes can while there is a service manager', async (t) => {
  await withManager({}, async (loop) => {
    const [reader, writer] = pipe();
    const seen: number[] = [];
    const subscription = loop.io(reader).subscribe(({ revents }) => seen.push(revents));
    await loop.advance(10);
    t.strictSame(seen, []);
    write(writer.number, Buffer.from('x'));
    loop
      .io(reader)
      .pipe(take(1))
      .subscribe(() => read(reader.number, Buffer.alloc(1)));
    await loop.advance(10);
    t.strictSame(seen, [EPOLLIN]);
    reader.close();
    await loop.settle();
    subscription.unsubscribe();
    writer.close();
    loop.io(0).subscribe({ error: ({ code }) => t.equal(code, 'EBADF') });
  });
});

t.test('it is there by the environment, which is as it was in the end; a process has one', async (t) => {
  const before = { NOTIFY_SOCKET: '/nowhere', WATCHDOG_USEC: '1', WATCHDOG_PID: '2', FDSTORE: undefined };
  await withEnvironment(before, async () => {
    await withManager({ fdStoreMax: 1 }, (loop) => {
      const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, FDSTORE } = process.env;
      t.match(NOTIFY_SOCKET, /^@sdrx-virtual-/);
      t.strictSame([WATCHDOG_USEC, WATCHDOG_PID, FDSTORE], [undefined, undefined, '1']);
      t.throws(() => loop.startServiceManager(), /has a service manager already/);
      using another = new VirtualLoop();
      t.throws(() => another.startServiceManager(), /another virtual loop has a service manager/);
    });
    const { NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, FDSTORE } = process.env;
    t.strictSame([NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID, FDSTORE], ['/nowhere', '1', '2', undefined]);
  });
});

t.test('options that are none are refused', async (t) => {
  using loop = new VirtualLoop();
  for (const name of ['startTimeout', 'stopTimeout', 'watchdog', 'fdStoreMax'])
    for (const value of [-1, Number.NaN, '1'])
      t.throws(() => loop.startServiceManager({ [name]: value }), new RegExp(`\`${name}\` must be`));
  // @ts-expect-error
  t.throws(() => loop.startServiceManager(1), TypeError);
  const manager = loop.startServiceManager();
  // @ts-expect-error
  t.throws(() => manager.stall({ full: 1 }), TypeError);
  // @ts-expect-error
  t.throws(() => manager.stall(1), TypeError);
});

t.test('whatever is said when, the service ends as late as the rule says, and no later', (t) =>
  fc
    .assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.record({ after: fc.nat(60), extend: fc.option(fc.nat(120), { nil: undefined }) }), {
          maxLength: 12,
        }),
        async (startTimeout, steps) => {
          await withManager({ startTimeout }, async (loop) => {
            let [now, deadline] = [0, startTimeout];
            for (const { after, extend } of steps) {
              if (now + after >= deadline) break;
              await loop.advance(after);
              now += after;
              if (extend === undefined) continue;
              notify({ EXTEND_TIMEOUT_USEC: extend * 1000 });
              deadline = Math.max(deadline, now + extend);
            }
            t.match(await failureOf(loop.advance(1000)), { at: deadline });
          });
        },
      ),
      { numRuns: 100 },
    )
    .then(() => t.end()),
);
