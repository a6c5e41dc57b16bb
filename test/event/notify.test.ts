import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { EventLoop, type Notification, notify, notifyBarrier } from '@sdrx/event';
import { eventfd } from '@sdrx/linux';
import fc from 'fast-check';
import { lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNoFd } from '../support/open-fds.js';
import { withEnvironment } from './environment.js';
import { iterations, onLoop } from './on-loop.js';
import { ServiceManager } from './service-manager.js';

let names = 0;

/** Runs `body` with a service manager that NOTIFY_SOCKET names. */
async function withManager(body: (manager: ServiceManager) => void | Promise<void>): Promise<void> {
  using manager = new ServiceManager(`@sdrx-test-${process.pid}-${names++}`);
  await withEnvironment({ NOTIFY_SOCKET: manager.address }, () => body(manager));
}

t.test(
  'tells the service manager at a path, one line a variable',
  leavingNoFd(async (t) => {
    using folder = new Folder();
    using manager = new ServiceManager(folder.join('notify'));
    await withEnvironment({ NOTIFY_SOCKET: manager.address }, () => {
      t.ok(notify({ READY: 1, STATUS: 'Täglich bereit', MAINPID: 5 }));
    });
    t.strictSame(manager.read(), { lines: ['READY=1', 'STATUS=Täglich bereit', 'MAINPID=5'], fds: [] });
    t.equal(manager.read(), undefined);
  }),
);

t.test(
  'tells the service manager at an abstract name',
  leavingNoFd(() =>
    withManager((manager) => {
      t.ok(notify({ STOPPING: 1 }));
      t.strictSame(manager.read(), { lines: ['STOPPING=1'], fds: [] });
    }),
  ),
);

t.test(
  'the descriptors sent along arrive, and ours stay ours',
  leavingNoFd((t) =>
    withManager((manager) => {
      using folder = new Folder();
      writeFileSync(folder.join('one'), '');
      writeFileSync(folder.join('two'), '');
      const ours = ['one', 'two'].map((name) => openSync(folder.join(name), 'r'));
      t.ok(notify({ FDSTORE: 1, FDNAME: 'files', FDPOLL: 0 }, ours));
      const received = manager.read();
      t.strictSame(received?.lines, ['FDSTORE=1', 'FDNAME=files', 'FDPOLL=0']);
      const inodes = received?.fds.map(({ number }) => fstatSync(number).ino);
      t.strictSame(
        inodes,
        ours.map((fd) => fstatSync(fd).ino),
      );
      t.equal(new Set(inodes).size, 2);
      for (const fd of received?.fds ?? []) fd.close();
      ours.forEach(closeSync);
    }),
  ),
);

t.test(
  'every value without a line break arrives as it is',
  leavingNoFd((t) =>
    withManager(async (manager) => {
      const line = fc.string({ unit: 'grapheme', maxLength: 100 }).filter((text) => !/[\n\0]/.test(text));
      const notification = fc.record(
        {
          STATUS: line,
          BUSERROR: line,
          ERRNO: fc.nat(),
          MONOTONIC_USEC: fc.maxSafeNat(),
          WATCHDOG: fc.constantFrom<1 | 'trigger'>(1, 'trigger'),
        },
        { requiredKeys: ['STATUS'] },
      );
      fc.assert(
        fc.property(notification, (value) => {
          t.ok(notify(value));
          t.strictSame(
            manager.read()?.lines,
            Object.entries(value).map(([name, text]) => `${name}=${text}`),
          );
        }),
      );
    }),
  ),
);

t.test(
  'a value with a line break or a NUL is refused, and nothing is sent',
  leavingNoFd((t) =>
    withManager((manager) => {
      for (const text of ['fine\nREADY=1', '\n', 'a\0b']) {
        t.throws(() => notify({ READY: 1, STATUS: text }), { name: 'TypeError', message: /STATUS must be one line/ });
      }
      t.equal(manager.read(), undefined);
    }),
  ),
);

t.test('says that there is nobody to tell when NOTIFY_SOCKET is unset', () =>
  withEnvironment({ NOTIFY_SOCKET: undefined }, () => {
    t.equal(notify({ READY: 1 }), false);
  }),
);

t.test('a NOTIFY_SOCKET that is neither a path nor an abstract name is an error', async (t) => {
  for (const value of ['', '/', '@', 'relative', 'vsock:2:1234', ' /run/notify']) {
    await withEnvironment({ NOTIFY_SOCKET: value }, () => {
      t.throws(() => notify({ READY: 1 }), {
        name: 'EnvironmentError',
        code: 'EINVAL',
        variable: 'NOTIFY_SOCKET',
        value,
      });
    });
  }
});

t.test(
  'a service manager that is gone is an error',
  leavingNoFd(async (t) => {
    using folder = new Folder();
    await withEnvironment({ NOTIFY_SOCKET: folder.join('nobody') }, () => {
      t.throws(() => notify({ READY: 1 }), { code: 'ENOENT' });
    });
    new ServiceManager(folder.join('gone'))[Symbol.dispose]();
    await withEnvironment({ NOTIFY_SOCKET: folder.join('gone') }, () => {
      t.throws(() => notify({ READY: 1 }), { code: 'ECONNREFUSED' });
    });
  }),
);

t.test(
  'the barrier comes, and completes, when the manager closes its descriptor, and not before',
  onLoop((t, loop) =>
    withManager(async (manager) => {
      using ready = eventfd(1);
      notify({ READY: 1 });
      const trace: string[] = [];
      const passed = new Promise<void>((resolve) => {
        notifyBarrier(loop).subscribe({ next: () => trace.push('passed'), complete: resolve });
      });
      t.strictSame((await manager.next()).lines, ['READY=1']);
      const barrier = await manager.next();
      t.strictSame(barrier.lines, ['BARRIER=1']);
      t.equal(barrier.fds.length, 1);
      await iterations(loop, ready.number, 50);
      trace.push('closed');
      for (const fd of barrier.fds) fd.close();
      await passed;
      t.strictSame(trace, ['closed', 'passed']);
    }),
  ),
);

t.test(
  'the barrier is not sent before it is subscribed to, and once for each subscription',
  onLoop((_, loop) =>
    withManager(async (manager) => {
      const barrier = notifyBarrier(loop);
      t.equal(manager.read(), undefined);
      for (let round = 0; round < 2; round++) {
        const passed = lastValueFrom(barrier.pipe(toArray()));
        const received = await manager.next();
        for (const fd of received.fds) fd.close();
        t.strictSame(await passed, [undefined]);
      }
    }),
  ),
);

t.test(
  'a barrier that is unsubscribed from leaves nothing behind',
  onLoop((_, loop) =>
    withManager(async (manager) => {
      notifyBarrier(loop)
        .subscribe(() => t.fail('nobody closed the descriptor'))
        .unsubscribe();
      for (const fd of (await manager.next()).fds) fd.close();
    }),
  ),
);

t.test(
  'the barrier comes at once without a service manager, and is an error if that is gone',
  onLoop(async (t, loop) => {
    await withEnvironment({ NOTIFY_SOCKET: undefined }, async () => {
      t.strictSame(await lastValueFrom(notifyBarrier(loop).pipe(toArray())), [undefined]);
    });
    await withEnvironment({ NOTIFY_SOCKET: `@sdrx-test-${process.pid}-nobody` }, () =>
      t.rejects(lastValueFrom(notifyBarrier(loop)), { code: 'ECONNREFUSED' }),
    );
    await withEnvironment({ NOTIFY_SOCKET: 'nonsense' }, () =>
      t.rejects(lastValueFrom(notifyBarrier(loop)), { name: 'EnvironmentError' }),
    );
  }),
);

t.test('the variables and their values are checked by the compiler', (t) => {
  const good: Notification = { READY: 1, STATUS: 'text', WATCHDOG: 'trigger', FDPOLL: 0 };
  // @ts-expect-error sd_notify(3) knows no such variable
  const unknown: Notification = { REDAY: 1 };
  // @ts-expect-error nor this value
  const wrong: Notification = { READY: 0 };
  t.strictSame(
    [good, unknown, wrong].map((value) => Object.keys(value).length),
    [4, 1, 1],
  );
  using loop = new EventLoop();
  t.equal(loop.state, 'initial');
  t.end();
});
