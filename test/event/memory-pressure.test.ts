import { existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { EventLoop, type MemoryPressureOptions } from '@sdrx/event';
import { accept, bind, Fd, listen, read, unixSocket, write } from '@sdrx/linux';
import { firstValueFrom, lastValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runProgram } from '../support/run-program.js';
import { withEnvironment } from './environment.js';
import { onLoop } from './on-loop.js';
import { plainEnvironment } from './run-node.js';

const SYSTEM = '/proc/pressure/memory';
const needsPressure = existsSync(SYSTEM) ? {} : { skip: `the kernel has no ${SYSTEM}` };
const unset = { MEMORY_PRESSURE_WATCH: undefined, MEMORY_PRESSURE_WRITE: undefined };

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}

/** What is in a fifo or socket now. */
function contents(fd: number): string {
  const buffer = Buffer.alloc(4096);
  return buffer.toString('utf8', 0, read(fd, buffer) ?? 0);
}

/** A fifo, and its descriptor for reading and writing. */
function fifo(folder: Folder): [path: string, fd: Fd] {
  const path = folder.join('fifo');
  runProgram('mkfifo', [path]);
  return [path, new Fd(openSync(path, 'r+'))];
}

t.test(
  'a fifo gets what MEMORY_PRESSURE_WRITE holds, and each byte in it is pressure',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const [path, manager] = fifo(folder);
    await withEnvironment({ MEMORY_PRESSURE_WATCH: path, MEMORY_PRESSURE_WRITE: base64('hello\0') }, async () => {
      const pressure = firstValueFrom(loop.memoryPressure());
      t.equal(contents(manager.number), 'hello\0');
      write(manager.number, Buffer.from('x'));
      t.equal(await pressure, undefined);
      const again = firstValueFrom(loop.memoryPressure().pipe(take(2), toArray()));
      t.equal(contents(manager.number), 'hello\0');
      for (let round = 0; round < 2; round++) {
        write(manager.number, Buffer.from('many bytes at once'));
        await firstValueFrom(loop.post());
      }
      t.equal((await again).length, 2);
    });
    manager.close();
  }),
);

t.test(
  'a fifo without anything to write brings nothing until something comes',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const [path, manager] = fifo(folder);
    await withEnvironment({ ...unset, MEMORY_PRESSURE_WATCH: path }, async () => {
      let events = 0;
      const subscription = loop.memoryPressure().subscribe(() => events++);
      await firstValueFrom(loop.time({ after: 10 }));
      t.equal(events, 0);
      write(manager.number, Buffer.from('x'));
      await firstValueFrom(loop.post());
      t.equal(events, 1);
      subscription.unsubscribe();
    });
    manager.close();
  }),
);

/** Runs `body` with a socket that MEMORY_PRESSURE_WATCH names. */
async function withSocket(trigger: string | undefined, body: (listener: Fd) => Promise<void>): Promise<void> {
  using folder = new Folder();
  using listener = unixSocket();
  const path = folder.join('socket');
  bind(listener.number, path);
  listen(listener.number);
  await withEnvironment({ MEMORY_PRESSURE_WATCH: path, MEMORY_PRESSURE_WRITE: trigger }, () => body(listener));
}

t.test(
  'a socket is connected to and gets what MEMORY_PRESSURE_WRITE holds; each message is pressure, its end completes',
  onLoop((t, loop) =>
    withSocket(base64('trigger'), async (listener) => {
      const trace: string[] = [];
      const completed = new Promise<void>((resolve) => {
        loop.memoryPressure().subscribe({
          next: () => trace.push('pressure'),
          complete: resolve,
          error: (error) => t.fail(String(error)),
        });
      });
      const connection = accept(listener.number);
      if (connection === undefined) throw new Error('not connected');
      t.equal(contents(connection.number), 'trigger');
      write(connection.number, Buffer.from('x'));
      await firstValueFrom(loop.post());
      t.strictSame(trace, ['pressure']);
      connection.close();
      await completed;
      t.strictSame(trace, ['pressure']);
    }),
  ),
);

t.test(
  'a socket whose other end leaves without reading completes as well',
  onLoop((t, loop) =>
    withSocket(base64('unread'), async (listener) => {
      const values = lastValueFrom(loop.memoryPressure().pipe(toArray()));
      accept(listener.number)?.close();
      t.strictSame(await values, []);
    }),
  ),
);

t.test(
  'a socket that nobody listens on is an error',
  onLoop((t, loop) =>
    withSocket(undefined, async (listener) => {
      listener.close();
      await t.rejects(firstValueFrom(loop.memoryPressure()), { code: 'ECONNREFUSED' });
    }),
  ),
);

t.test(
  "the kernel's pressure file gets the trigger that MEMORY_PRESSURE_WRITE holds, and may refuse it",
  needsPressure,
  onLoop(async (t, loop) => {
    const watch = { MEMORY_PRESSURE_WATCH: SYSTEM };
    await withEnvironment({ ...watch, MEMORY_PRESSURE_WRITE: base64('some 200000 2000000\0') }, () => {
      loop
        .memoryPressure()
        .subscribe({ error: (error) => t.fail(String(error)) })
        .unsubscribe();
    });
    for (const trigger of ['nonsense', 'some 3000000 2000000\0']) {
      await withEnvironment({ ...watch, MEMORY_PRESSURE_WRITE: base64(trigger) }, () =>
        t.rejects(firstValueFrom(loop.memoryPressure()), { code: 'EINVAL', syscall: 'write' }),
      );
    }
  }),
);

t.test(
  'MEMORY_PRESSURE_WATCH=/dev/null turns it off: EHOSTDOWN',
  onLoop((t, loop) =>
    withEnvironment({ ...unset, MEMORY_PRESSURE_WATCH: '/dev/null' }, async () => {
      await t.rejects(firstValueFrom(loop.memoryPressure()), {
        name: 'SystemError',
        code: 'EHOSTDOWN',
        message: /turned off by MEMORY_PRESSURE_WATCH/,
      });
      await t.rejects(firstValueFrom(loop.memoryPressure({ type: 'full' })), { code: 'EHOSTDOWN' });
    }),
  ),
);

t.test(
  'variables that are malformed are an EnvironmentError that names them',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const [path, manager] = fifo(folder);
    const wrong: readonly [watch: string, trigger: string | undefined, variable: string][] = [
      ['', undefined, 'MEMORY_PRESSURE_WATCH'],
      ['relative/path', undefined, 'MEMORY_PRESSURE_WATCH'],
      [folder.path, undefined, 'MEMORY_PRESSURE_WATCH'],
      [path, 'no base64!', 'MEMORY_PRESSURE_WRITE'],
      [path, 'a===', 'MEMORY_PRESSURE_WRITE'],
    ];
    for (const [watch, trigger, variable] of wrong) {
      await withEnvironment({ MEMORY_PRESSURE_WATCH: watch, MEMORY_PRESSURE_WRITE: trigger }, () =>
        t.rejects(firstValueFrom(loop.memoryPressure()), { name: 'EnvironmentError', code: 'EINVAL', variable }),
      );
    }
    manager.close();
  }),
);

t.test(
  'a file that is not there, or is no pressure file, is an error',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), '');
    await withEnvironment({ ...unset, MEMORY_PRESSURE_WATCH: folder.join('nothing') }, () =>
      t.rejects(firstValueFrom(loop.memoryPressure()), { code: 'ENOENT' }),
    );
    await withEnvironment({ ...unset, MEMORY_PRESSURE_WATCH: folder.join('file') }, () =>
      t.rejects(firstValueFrom(loop.memoryPressure()), { code: 'EPERM', syscall: 'epoll_ctl' }),
    );
  }),
);

t.test(
  'options are refused where the variables say what to watch for: EBUSY',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const [path, manager] = fifo(folder);
    await withEnvironment({ ...unset, MEMORY_PRESSURE_WATCH: path }, async () => {
      const wishes: MemoryPressureOptions[] = [{ type: 'some' }, { threshold: 100 }, { window: 2000 }];
      for (const wish of wishes)
        await t.rejects(firstValueFrom(loop.memoryPressure(wish)), {
          code: 'EBUSY',
          message: /MEMORY_PRESSURE_WATCH says/,
        });
      loop
        .memoryPressure({ priority: -1 })
        .subscribe({ error: (error) => t.fail(String(error)) })
        .unsubscribe();
    });
    manager.close();
  }),
);

t.test('a threshold or window out of range is refused at once', (t) => {
  using loop = new EventLoop();
  const wrong: readonly [MemoryPressureOptions, RegExp][] = [
    [{ window: 499 }, /`window` must be a number of milliseconds from 500 to 10000, not 499/],
    [{ window: 10_001 }, /`window`/],
    [{ window: Number.NaN }, /`window`/],
    [{ threshold: 0 }, /`threshold` must be a number of milliseconds above 0/],
    [{ threshold: -1 }, /`threshold`/],
    [{ threshold: 2001 }, /at most the window's 2000 ms, not 2001/],
    [{ threshold: 501, window: 500 }, /`threshold`/],
    [{ threshold: Number.NaN }, /`threshold`/],
  ];
  for (const [options, message] of wrong) t.throws(() => loop.memoryPressure(options), { name: 'RangeError', message });
  t.end();
});

t.test(
  'without variables every type, threshold and window in range can be watched for',
  { ...needsRoot, ...needsPressure },
  onLoop((t, loop) =>
    withEnvironment(unset, () => {
      const wishes: MemoryPressureOptions[] = [
        {},
        { type: 'full' },
        // Multiples of 2 s, which the kernel allows also without CAP_SYS_RESOURCE.
        { threshold: 0.001, window: 2000 },
        { threshold: 10_000, window: 10_000 },
        { threshold: 33.3333, window: 4000 },
      ];
      for (const wish of wishes)
        loop
          .memoryPressure(wish)
          .subscribe({ error: (error) => t.fail(String(error)) })
          .unsubscribe();
    }),
  ),
);

/** Runs the program in `programs/show-pressure-file.ts` in mounts of its own, after `commands` of the shell. */
function pressureFile(commands: string): string {
  const program = programPath('./programs/show-pressure-file.js', import.meta.url);
  const script = `set -e; ${commands}; exec "$0" "$1"`;
  const env = { ...plainEnvironment, ...unset };
  const { output } = runProgram('unshare', ['--mount', 'sh', '-c', script, process.execPath, program], { env });
  return output;
}

/** Whether control groups of version 2 have pressure files here, in a folder of the test's own. */
const groups = 'mount -t tmpfs none /sys/fs/cgroup; mount -t cgroup2 none /sys/fs/cgroup';
const group = `sdrx-test-${process.pid}`;
const needsGroups =
  needsRoot.skip === undefined &&
  runProgram('unshare', ['--mount', 'sh', '-c', `${groups} && test -w /sys/fs/cgroup/cgroup.procs`], {
    fds: [null, null, null],
  }).exit.status === 0
    ? needsPressure
    : { skip: 'control groups of version 2 can be mounted by root only' };

t.test('without variables the pressure of the own control group is watched', needsGroups, (t) => {
  const enter = `${groups}; mkdir -p /sys/fs/cgroup/${group}; echo $$ > /sys/fs/cgroup/${group}/cgroup.procs`;
  t.equal(pressureFile(enter), `/sys/fs/cgroup/${group}/memory.pressure`);
  runProgram('unshare', ['--mount', 'sh', '-c', `${groups}; rmdir /sys/fs/cgroup/${group}`]);
  t.end();
});

t.test('where the control group has none, that of the whole system is', { ...needsRoot, ...needsPressure }, (t) => {
  t.equal(pressureFile('mount -t tmpfs none /sys/fs/cgroup'), SYSTEM);
  t.end();
});

t.test('where there is none at all it is an error, EOPNOTSUPP', { ...needsRoot, ...needsPressure }, (t) => {
  t.equal(pressureFile('mount -t tmpfs none /sys/fs/cgroup; mount -t tmpfs none /proc/pressure'), 'EOPNOTSUPP');
  t.end();
});

/** Where control groups of version 2 are mounted in this process's own mounts. */
const mounted = readFileSync('/proc/self/mounts', 'utf8')
  .split('\n')
  .map((line) => line.split(' '))
  .find(([, , type]) => type === 'cgroup2')?.[1];

t.test(
  'a control group that is removed is an error, EIO',
  mounted === undefined || needsRoot.skip !== undefined ? { skip: 'no control groups of version 2' } : {},
  onLoop(async (t, loop) => {
    const folder = `${mounted}/${group}-removed`;
    mkdirSync(folder);
    const variables = {
      MEMORY_PRESSURE_WATCH: `${folder}/memory.pressure`,
      MEMORY_PRESSURE_WRITE: base64('some 200000 2000000'),
    };
    await withEnvironment(variables, async () => {
      const failure = t.rejects(lastValueFrom(loop.memoryPressure()), { name: 'SystemError', code: 'EIO' });
      rmdirSync(folder);
      await failure;
    });
  }),
);
