import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, fstatSync, openSync, writeFileSync } from 'node:fs';
import { EventLoop, type Notification, notify, notifyBarrier } from '@sdrx/event';
import { describeFd, eventfd, pidfdOpen } from '@sdrx/linux';
import fc from 'fast-check';
import { firstValueFrom, lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { withEnvironment } from './environment.js';
import { iterations, onLoop } from './on-loop.js';
import { plainEnvironment } from './run-node.js';
import { ServiceManager } from './service-manager.js';

const program = programPath('./programs/notify-and-end.js', import.meta.url);

let names = 0;

/** The texts of Node's warnings while `body` runs. */
async function warningsOf(body: () => Promise<void>): Promise<string[]> {
  const texts: string[] = [];
  const listener = ({ message }: Error) => texts.push(message);
  process.on('warning', listener);
  await body();
  // They come a turn later.
  await new Promise(setImmediate);
  process.off('warning', listener);
  return texts;
}

/** Runs `body` with a service manager that NOTIFY_SOCKET names. */
async function withManager(body: (manager: ServiceManager) => void | Promise<void>): Promise<void> {
  using manager = new ServiceManager(`@sdrx-test-${process.pid}-${names++}`);
  await withEnvironment({ NOTIFY_SOCKET: manager.address }, () => body(manager));
}

t.test(
  'tells the service manager at a path, one line a variable',
  leavingNothing(async (t) => {
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
  leavingNothing(() =>
    withManager((manager) => {
      t.ok(notify({ STOPPING: 1 }));
      t.strictSame(manager.read(), { lines: ['STOPPING=1'], fds: [] });
    }),
  ),
);

t.test(
  'the descriptors sent along arrive, and ours stay ours',
  leavingNothing((t) =>
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

const line = fc.string({ unit: 'grapheme', maxLength: 100 }).filter((text) => !/[\n\r\0]/.test(text));
const whole = fc.maxSafeNat();

/** Every variable that needs no descriptor, with every value that it may have. */
const variables: { readonly [Name in keyof Notification]: fc.Arbitrary<NonNullable<Notification[Name]>> } = {
  READY: fc.constant(1),
  RELOADING: fc.constant(1),
  STOPPING: fc.constant(1),
  MONOTONIC_USEC: whole,
  STATUS: line,
  ERRNO: fc.nat(),
  BUSERROR: line,
  VARLINKERROR: line,
  EXIT_STATUS: fc.integer({ min: 0, max: 255 }),
  MAINPID: fc.integer({ min: 1, max: 2 ** 31 - 1 }),
  MAINPIDFDID: fc.oneof(whole, fc.bigInt({ min: 0n, max: 2n ** 64n - 1n })),
  NOTIFYACCESS: fc.constantFrom('none', 'main', 'exec', 'all'),
  WATCHDOG: fc.constantFrom<(1 | 'trigger')[]>(1, 'trigger'),
  WATCHDOG_USEC: whole,
  EXTEND_TIMEOUT_USEC: whole,
  RESTART_RESET: fc.constant(1),
  FDSTORE: fc.constant(1),
  FDSTOREREMOVE: fc.constant(1),
  FDNAME: fc.stringMatching(/^[ -9;-~]{1,255}$/),
  FDPOLL: fc.constant(0),
  X_OWN_1: line,
};

t.test(
  'every value of every variable arrives as it is',
  leavingNothing((t) =>
    withManager((manager) => {
      fc.assert(
        fc.property(fc.record(variables, { requiredKeys: ['STATUS'] }), (value) => {
          t.ok(notify(value as Notification));
          t.strictSame(
            manager.read()?.lines,
            Object.entries(value).map(([name, text]) => `${name}=${text}`),
          );
        }),
        { numRuns: 500 },
      );
    }),
  ),
);

t.test(
  'a pidfd of the main process arrives, alone',
  leavingNothing((t) =>
    withManager((manager) => {
      using pidfd = pidfdOpen(process.pid);
      t.ok(notify({ MAINPIDFD: 1, READY: 1 }, [pidfd.number]));
      const received = manager.read();
      t.strictSame(received?.lines, ['MAINPIDFD=1', 'READY=1']);
      t.strictSame(
        received?.fds.map(({ number }) => describeFd(number)),
        [{ kind: 'pidfd', pid: process.pid }],
      );
      for (const fd of received?.fds ?? []) fd.close();
    }),
  ),
);

t.test('a variable that concerns one descriptor needs one, with a manager and without', async (t) => {
  const attempt = () => {
    for (const variable of ['MAINPIDFD', 'BARRIER']) {
      for (const fds of [[], [0, 1]]) {
        t.throws(() => notify({ [variable]: 1 } as unknown as Notification, fds), {
          name: 'RangeError',
          message: `\`fds\` must be one descriptor, for ${variable}, not ${fds.length}`,
        });
      }
    }
    t.throws(() => notify({ BARRIER: 1, READY: 1 }, [0]), {
      name: 'RangeError',
      message: /nothing else beside BARRIER/,
    });
  };
  await withEnvironment({ NOTIFY_SOCKET: undefined }, attempt);
  await withManager((manager) => {
    attempt();
    t.equal(manager.read(), undefined);
  });
});

t.test(
  'a value with a line break or a NUL is refused, and nothing is sent',
  leavingNothing((t) =>
    withManager((manager) => {
      for (const text of ['fine\nREADY=1', 'fine\rREADY=1', '\n', 'a\0b']) {
        t.throws(() => notify({ READY: 1, STATUS: text }), { name: 'TypeError', message: /`STATUS` must be one line/ });
      }
      t.equal(manager.read(), undefined);
    }),
  ),
);

const wrong: readonly [name: string, notification: object, error: 'TypeError' | 'RangeError'][] = [
  ['a line break', { STATUS: 'a\nb' }, 'TypeError'],
  ['a NUL', { BUSERROR: 'a\0b' }, 'TypeError'],
  ['a status that is no text', { STATUS: 5 }, 'TypeError'],
  ['a flag that is none', { READY: true }, 'TypeError'],
  ['a number as text', { MAINPID: '5' }, 'TypeError'],
  ['a fraction of a process', { MAINPID: 1.5 }, 'RangeError'],
  ['no process', { MAINPID: 0 }, 'RangeError'],
  ['a negative time', { EXTEND_TIMEOUT_USEC: -1 }, 'RangeError'],
  ['no time', { MONOTONIC_USEC: Number.NaN }, 'RangeError'],
  ['an endless time', { WATCHDOG_USEC: Infinity }, 'RangeError'],
  ['a time as text', { WATCHDOG_USEC: '1000' }, 'TypeError'],
  ['a name that the fd store would not take', { FDNAME: 'a:b' }, 'RangeError'],
  ['an empty name', { FDNAME: '' }, 'RangeError'],
  ['a process beyond all', { MAINPID: 2 ** 31 }, 'RangeError'],
  ['a negative inode', { MAINPIDFDID: -1 }, 'RangeError'],
  ['an inode beyond all', { MAINPIDFDID: 1n << 64n }, 'RangeError'],
  ['an inode that no number holds', { MAINPIDFDID: 2 ** 53 }, 'RangeError'],
  ['an inode as text', { MAINPIDFDID: '5' }, 'TypeError'],
  ['an exit status beyond all', { EXIT_STATUS: 256 }, 'RangeError'],
  ['an unknown access', { NOTIFYACCESS: 'some' }, 'TypeError'],
  ['a reset that is none', { RESTART_RESET: 0 }, 'TypeError'],
  ['two lines of a Varlink error', { VARLINKERROR: 'a\nb' }, 'TypeError'],
  ['a line break in one of its own', { X_OWN: 'a\nREADY=1' }, 'TypeError'],
  ['a number in one of its own', { X_OWN: 5 }, 'TypeError'],
  ['one of its own in small letters', { X_own: 'a' }, 'RangeError'],
  ['one of its own without a name', { X_: 'a' }, 'RangeError'],
  ['a line in the place of its own', { 'X_A=1\nREADY': 'a' }, 'RangeError'],
  ['a variable that does not exist', { READDY: 1 }, 'RangeError'],
  ['one of Object', { constructor: 1 }, 'RangeError'],
  ['a line in the place of a name', { 'READY=1\nSTATUS': 'x' }, 'RangeError'],
];

for (const [what, notification, name] of wrong) {
  t.test(
    `${what} is refused, with a manager and without`,
    leavingNothing(async (t) => {
      const attempt = () => notify(notification as Notification);
      await withEnvironment({ NOTIFY_SOCKET: undefined }, () => t.throws(attempt, { name }));
      await withManager((manager) => {
        t.throws(attempt, { name });
        t.equal(manager.read(), undefined);
      });
    }),
  );
}

t.test(
  'times are whole microseconds, rounded up',
  leavingNothing((t) =>
    withManager((manager) => {
      notify({ RELOADING: 1, MONOTONIC_USEC: 1234.25, EXTEND_TIMEOUT_USEC: 0.1, WATCHDOG_USEC: 3 });
      const expected = ['RELOADING=1', 'MONOTONIC_USEC=1235', 'EXTEND_TIMEOUT_USEC=1', 'WATCHDOG_USEC=3'];
      t.strictSame(manager.read()?.lines, expected);
      using loop = new EventLoop();
      const before = process.hrtime.bigint();
      notify({ RELOADING: 1, MONOTONIC_USEC: loop.now() * 1e3 });
      const [, time = ''] = manager.read()?.lines[1]?.split('=') ?? [];
      t.match(time, /^\d+$/);
      t.ok(BigInt(time) * 1000n >= before, 'it does not lie before what came before');
    }),
  ),
);

t.test('what is undefined is left out', (t) =>
  withManager((manager) => {
    notify({ READY: 1, STATUS: undefined } as unknown as Notification);
    t.strictSame(manager.read()?.lines, ['READY=1']);
  }),
);

t.test(
  'a status of 300 kB arrives whole, and a warning says that systemd would not take it',
  leavingNothing(async (t) => {
    const socket = `@sdrx-test-${process.pid}-large`;
    using manager = new ServiceManager(socket, 1_000_000);
    const status = 'x'.repeat(300_000);
    const warnings = await warningsOf(() =>
      withEnvironment({ NOTIFY_SOCKET: socket }, () => {
        notify({ STATUS: 'x'.repeat(4096 - 'STATUS='.length) });
        notify({ READY: 1, STATUS: status });
        notify({ STATUS: status });
      }),
    );
    t.equal(manager.read()?.lines[0]?.length, 4096);
    t.strictSame(manager.read()?.lines, ['READY=1', `STATUS=${status}`]);
    t.strictSame(manager.read()?.lines, [`STATUS=${status}`]);
    t.equal(warnings.length, 1, 'once, and not for what is as long as it may be');
    t.match(
      warnings[0],
      /^systemd takes no notification of more than 4096 bytes, this one has 300015: READY=1, STATUS=xx/,
    );
  }),
);

t.test(
  'a manager that does not read holds nothing up, and gets all in order when it does',
  onLoop((t, loop) =>
    withManager(async (manager) => {
      using folder = new Folder();
      writeFileSync(folder.join('file'), '');
      const fd = openSync(folder.join('file'), 'r');
      const inode = fstatSync(fd).ino;
      for (let number = 0; number < 200; number++) t.ok(notify({ ERRNO: number }));
      t.ok(notify({ FDSTORE: 1 }, [fd]));
      closeSync(fd);
      // Of these two kinds only the newest says anything.
      for (let number = 0; number < 1000; number++) notify(number % 2 ? { WATCHDOG: 1 } : { STATUS: `at ${number}` });
      const signal = firstValueFrom(loop.signal('SIGUSR2'));
      process.kill(process.pid, 'SIGUSR2');
      t.match(await signal, { signo: 12 });

      const lines: string[] = [];
      while (lines.at(-1) !== 'WATCHDOG=1') {
        const { lines: received, fds } = await manager.next();
        lines.push(...received);
        for (const one of fds) {
          t.equal(fstatSync(one.number).ino, inode, 'its descriptor, though ours was closed');
          one.close();
        }
      }
      const numbers = Array.from({ length: 200 }, (_, number) => `ERRNO=${number}`);
      t.strictSame(lines, [...numbers, 'FDSTORE=1', 'STATUS=at 998', 'WATCHDOG=1']);
      t.ok(notify({ READY: 1 }));
      t.strictSame((await manager.next()).lines, ['READY=1'], 'then it is as before');
    }),
  ),
);

t.test(
  'more than 256 messages that wait are an error, and those that wait are not lost by it',
  leavingNothing((t) =>
    withManager(async (manager) => {
      let sent = 0;
      t.throws(
        () => {
          for (; sent < 2000; sent++) notify({ ERRNO: sent });
        },
        { code: 'ENOBUFS', message: /the service manager has not taken 256 messages/ },
      );
      const lines: string[] = [];
      while (lines.length < sent) lines.push(...(await manager.next()).lines);
      t.strictSame(
        lines,
        Array.from({ length: sent }, (_, number) => `ERRNO=${number}`),
      );
    }),
  ),
);

t.test(
  'what waits for a manager that goes is lost with a warning',
  leavingNothing(async (t) => {
    const address = `@sdrx-test-${process.pid}-goes`;
    using manager = new ServiceManager(address);
    await withEnvironment({ NOTIFY_SOCKET: address }, () => {
      for (let number = 0; number < 100; number++) notify({ ERRNO: number });
    });
    const warning = new Promise<Error>((resolve) => process.once('warning', resolve));
    manager[Symbol.dispose]();
    t.match(await warning, { message: /messages to the service manager are lost: ECONNREFUSED/ });
  }),
);

t.test(
  'a service whose manager never reads ends by SIGTERM all the same, and says what became of its messages',
  async (t) => {
    const address = `@sdrx-test-${process.pid}-deaf`;
    using _ = new ServiceManager(address);
    const env = { ...plainEnvironment, NOTIFY_SOCKET: address };
    const child = spawn(process.execPath, [program], { env, stdio: ['inherit', 'pipe', 'pipe'] });
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await once(child.stdout, 'data');
    child.kill('SIGTERM');
    const [code] = await once(child, 'close');
    t.equal(code, 0);
    t.match(said, /has not taken \d+ messages for 5 s: ERRNO=/);
  },
);

t.test('says that there is nobody to tell when NOTIFY_SOCKET is unset', () =>
  withEnvironment({ NOTIFY_SOCKET: undefined }, () => {
    t.equal(notify({ READY: 1 }), false);
  }),
);

t.test('a manager at an address of vsock is told nothing, which a warning says once', async (t) => {
  const warnings = await warningsOf(async () => {
    for (const type of ['', '-stream', '-dgram', '-seqpacket']) {
      await withEnvironment({ NOTIFY_SOCKET: `vsock${type}:2:4294967295` }, () => {
        t.equal(notify({ READY: 1 }), false);
        t.throws(() => notify({ READY: 2 } as unknown as Notification), { name: 'TypeError' });
      });
    }
  });
  t.strictSame(warnings, [
    'the service manager at NOTIFY_SOCKET=vsock:2:4294967295 is told nothing: AF_VSOCK is not supported',
  ]);
});

t.test('a NOTIFY_SOCKET that is none of these is an error', async (t) => {
  const malformed = [
    'vsock',
    'vsock:2',
    'vsock:2:',
    'vsock::1',
    'vsock:2:4294967296',
    'vsock:a:1',
    'vsock-raw:2:1',
    'vsock:2:1\n',
  ];
  for (const value of ['', '/', '@', 'relative', ' /run/notify', ...malformed]) {
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
  leavingNothing(async (t) => {
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
