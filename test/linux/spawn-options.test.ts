import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { constants } from 'node:os';
import { libc, openFile, pipe, read, type SpawnOptions, setCloseOnExec, spawn } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runProgram } from '../support/run-program.js';
import { until } from '../support/until.js';
import { waitForExit } from '../support/wait-for-exit.js';

const { SIGKILL } = constants.signals;
const NOBODY = 65534;
const PR_GET_DUMPABLE = 3;

const prctl = libc<(option: number) => number>('int prctl(int)');

/** What a shell's script prints, run with these options. */
function shell(script: string, options: SpawnOptions = {}): string {
  return runProgram('sh', ['-c', script], options).output;
}

/** The text of a file of /proc about a child that does nothing. */
function fileOfChild(name: string, options: SpawnOptions): string {
  const child = spawn('sleep', { ...options, args: ['1000'] });
  try {
    return readFileSync(`/proc/${child.pid}/${name}`, 'latin1');
  } finally {
    child.kill(SIGKILL);
    waitForExit(child);
  }
}

t.test(
  'it becomes the user asked for, in all ids, with no groups but those that are given',
  needsRoot,
  leavingNothing((t) => {
    const ids = (options: SpawnOptions) =>
      [...fileOfChild('status', options).matchAll(/^(Uid|Gid|Groups):[ \t]*(.*?)[ \t]*$/gm)].map(
        ([, , value]) => value,
      );
    t.strictSame(ids({ user: { uid: NOBODY, gid: 1234 } }), [
      '65534\t65534\t65534\t65534',
      '1234\t1234\t1234\t1234',
      '',
    ]);
    t.strictSame(ids({ user: { uid: 1, gid: 2, groups: [7, 3, 4_294_967_294] } }), [
      '1\t1\t1\t1',
      '2\t2\t2\t2',
      '3 7 4294967294',
    ]);
    t.strictSame(shell('id -u; id -g; id -G', { user: { uid: NOBODY, gid: 4, groups: [5] } }), '65534\n4\n4 5\n');
    const status = fileOfChild('status', { user: { uid: NOBODY, gid: NOBODY } });
    for (const set of ['CapInh', 'CapPrm', 'CapEff', 'CapAmb']) t.match(status, new RegExp(`^${set}:\\s*0+$`, 'm'));
    t.strictSame(ids({})[0], '0\t0\t0\t0', 'by default it is ours');
  }),
);

t.test(
  'a child that becomes another user leaves us what we are',
  needsRoot,
  leavingNothing((t) => {
    const mask = process.umask();
    shell('true', { user: { uid: NOBODY, gid: NOBODY }, umask: 0o77, cwd: '/', limits: { nofile: [50, 60] } });
    t.equal(prctl(PR_GET_DUMPABLE), 1, 'we can be debugged as before');
    t.throws(() => spawn('/missing', { user: { uid: NOBODY, gid: NOBODY } }), { code: 'ENOENT', syscall: 'execve' });
    t.equal(prctl(PR_GET_DUMPABLE), 1, 'we can be debugged as before');
    t.equal(process.getuid?.(), 0);
    t.equal(process.umask(), mask);
    t.not(process.cwd(), '/');
  }),
);

t.test(
  'whether a program may be executed is asked of the user that the child becomes, the folder is ours to enter',
  needsRoot,
  leavingNothing((t) => {
    using folder = new Folder();
    const user = { uid: NOBODY, gid: NOBODY };
    t.match(runProgram('true', [], { cwd: folder.path, user }).exit, { code: 'exited', status: 0 });
    t.throws(() => spawn('./program', { cwd: folder.path, user }), { code: 'EACCES', syscall: 'execve' });
  }),
);

t.test(
  'it gets the umask asked for, else ours',
  leavingNothing((t) => {
    const ours = process.umask(0o31);
    t.equal(shell('umask'), '0031\n');
    t.equal(shell('umask', { umask: 0o27 }), '0027\n');
    t.equal(shell('umask', { umask: 0 }), '0000\n');
    t.equal(process.umask(), 0o31);
    process.umask(ours);
  }),
);

t.test(
  'it gets the limits asked for, else ours',
  leavingNothing((t) => {
    const limits = (options: SpawnOptions) => {
      const lines = fileOfChild('limits', options).split('\n');
      return (name: string) =>
        lines
          .find((line) => line.startsWith(`Max ${name} `))
          ?.slice(26)
          .trim()
          .split(/\s+/);
    };
    const ours = readFileSync('/proc/self/limits', 'latin1');
    t.equal(fileOfChild('limits', {}), ours);
    const found = limits({
      limits: {
        cpu: [100, 200],
        fsize: [1, 2 ** 52],
        data: [2 ** 33, 2 ** 34],
        stack: [2 ** 20, 2 ** 21],
        core: [0, 4096],
        rss: [1, 2],
        nproc: [300, 301],
        nofile: [20, 30],
        memlock: [0, 0],
        as: [2 ** 40, 2 ** 41],
        locks: [4, Infinity],
        sigpending: [5, 6],
        msgqueue: [7, 8],
        nice: [0, 0],
        rtprio: [0, 0],
        rttime: [1_000_000, 2_000_000],
      },
    });
    const expected = {
      'cpu time': ['100', '200', 'seconds'],
      'file size': ['1', '4503599627370496', 'bytes'],
      'data size': ['8589934592', '17179869184', 'bytes'],
      'stack size': ['1048576', '2097152', 'bytes'],
      'core file size': ['0', '4096', 'bytes'],
      'resident set': ['1', '2', 'bytes'],
      processes: ['300', '301', 'processes'],
      'open files': ['20', '30', 'files'],
      'locked memory': ['0', '0', 'bytes'],
      'address space': ['1099511627776', '2199023255552', 'bytes'],
      'file locks': ['4', 'unlimited', 'locks'],
      'pending signals': ['5', '6', 'signals'],
      'msgqueue size': ['7', '8', 'bytes'],
      'nice priority': ['0', '0'],
      'realtime priority': ['0', '0'],
      'realtime timeout': ['1000000', '2000000', 'us'],
    };
    for (const [name, values] of Object.entries(expected)) t.strictSame(found(name), values, name);
    t.equal(readFileSync('/proc/self/limits', 'latin1'), ours, 'ours are what they were');
  }),
);

/** Whether a process has ended. It may be that nobody reaps it. */
function hasEnded(pid: number): boolean {
  try {
    return /\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return true;
  }
}

for (const [who, ...args] of [['process'], ['thread', 'thread']]) {
  t.test(
    `it gets a signal when the ${who} that started it has ended`,
    leavingNothing(async (t) => {
      const program = programPath('./programs/parent-death.js', import.meta.url);
      const [reader, writer] = pipe();
      const parent = spawn(process.execPath, { args: [program, ...args], fds: [null, writer, 2] });
      writer.close();
      let text = '';
      const buffer = Buffer.alloc(100);
      await until(() => {
        const count = read(reader.number, buffer);
        if (count === 0) throw new Error('the parent has ended before');
        text += buffer.toString('latin1', 0, count);
        return text.endsWith('\n');
      });
      reader.close();
      if (who === 'process') parent.kill('SIGKILL');
      await until(() => hasEnded(Number(text)));
      if (who === 'thread') t.notOk(hasEnded(parent.pid));
      parent.kill('SIGKILL');
      waitForExit(parent);
    }),
  );
}

t.test(
  'the signal is asked for after the child became another user, with which it would be forgotten',
  needsRoot,
  leavingNothing((t) => {
    // PR_GET_PDEATHSIG
    const script = 'import ctypes; n = ctypes.c_int(); ctypes.CDLL(None).prctl(2, ctypes.byref(n)); print(n.value)';
    const signalOf = (options: SpawnOptions) => runProgram('python3', ['-c', script], options).output;
    const user = { uid: NOBODY, gid: NOBODY };
    t.equal(signalOf({ user, parentDeathSignal: 'SIGTERM' }), '15\n');
    t.equal(signalOf({ parentDeathSignal: 64 }), '64\n');
    t.equal(signalOf({}), '0\n');
  }),
);

t.test('a child whose parent is not this process does not become its program', needsRoot, (t) => {
  const { output } = runNode([programPath('./programs/own-pid-namespace.js', import.meta.url)]);
  t.strictSame(JSON.parse(output), { failed: 'EAGAIN futex', status: 0, children: [] });
  t.end();
});

/** What a Node of ours finds that is activated with these. */
function activated(listenFds: NonNullable<SpawnOptions['listenFds']>, options: SpawnOptions = {}): unknown {
  const program = programPath('./programs/show-listen-fds.js', import.meta.url);
  return JSON.parse(runProgram(process.execPath, [program], { ...options, listenFds }).output);
}

t.test(
  'it is activated with descriptors, from 3 on, in their order and by their names',
  leavingNothing((t) => {
    using zero = openFile('/dev/zero');
    using full = openFile('/dev/full');
    setCloseOnExec(full.number, false);
    const three = [3, 'zero', '/dev/zero'];
    t.strictSame(activated({ zero, 'a full one': full.number }), {
      passed: [three, [4, 'a full one', '/dev/full']],
      left: [],
    });
    const all = [
      { name: '', fd: full },
      { name: 'zero', fd: zero },
      { name: 'zero', fd: zero.number },
      { name: '', fd: zero },
      { name: '~'.repeat(255), fd: full },
    ];
    t.strictSame(activated(all), {
      passed: [
        [3, '', '/dev/full'],
        [4, 'zero', '/dev/zero'],
        [5, 'zero', '/dev/zero'],
        [6, '', '/dev/zero'],
        [7, '~'.repeat(255), '/dev/full'],
      ],
      left: [],
    });
    t.strictSame(activated({ zero }, { fds: [null, 1, 2] }), { passed: [three], left: [] });
  }),
);

t.test(
  'the variables are its own: its id, and none of those of an activation of ours',
  leavingNothing((t) => {
    const script = 'test "$LISTEN_PID" = $$ && env | grep ^LISTEN_ | grep -v PID= | sort; env | grep -c .';
    const stale = {
      LISTEN_PID: '1',
      LISTEN_FDS: '77',
      LISTEN_FDNAMES: 'x',
      LISTEN_PIDFDID: '5',
      PATH: process.env.PATH,
    };
    const found = shell(script, { env: stale, listenFds: { one: 0, two: 0 } });
    const others = ['PATH', 'PWD', 'LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES'].length;
    t.match(found, /^LISTEN_FDNAMES=one:two\nLISTEN_FDS=2\n\d+\n$/);
    t.ok(Number(found.trim().split('\n').at(-1)) <= others + 2);
    t.equal(shell('env | grep LISTEN', { env: stale, listenFds: [] }), '', 'without descriptors it has none of them');
    t.equal(shell('echo $LISTEN_PID $LISTEN_PIDFDID', { env: stale }), '1 5\n', 'else they are as they are given');
    process.env.LISTEN_PIDFDID = '6';
    t.equal(shell('test "$LISTEN_PID" = $$ && env | grep -c LISTEN', { listenFds: { one: 0 } }), '3\n');
    delete process.env.LISTEN_PIDFDID;
  }),
);

t.test(
  'below 3 it has what `fds` says, and nothing where that is short',
  leavingNothing((t) => {
    using zero = openFile('/dev/zero');
    const names = (fds: NonNullable<SpawnOptions['fds']>) => {
      const child = spawn('sleep', { args: ['1000'], fds, listenFds: { zero } });
      while (!readFileSync(`/proc/${child.pid}/wchan`, 'ascii').includes('nanosleep'));
      const found = readdirSync(`/proc/${child.pid}/fd`).map((fd) => readlinkSync(`/proc/${child.pid}/fd/${fd}`));
      child.kill(SIGKILL);
      waitForExit(child);
      return found;
    };
    // Node has made them close-on-exec.
    for (const fd of [0, 1, 2]) setCloseOnExec(fd, false);
    t.strictSame(names([]), ['/dev/zero']);
    t.strictSame(names([null]), ['/dev/null', '/dev/zero']);
    t.strictSame(names([null, zero, null]), ['/dev/null', '/dev/zero', '/dev/null', '/dev/zero']);
    for (const fd of [0, 1, 2]) setCloseOnExec(fd);
  }),
);

t.test(
  'where there is no close_range(2) it has the descriptors asked for and no others',
  leavingNothing((t) => {
    const { output } = runNode([programPath('./programs/no-close-range.js', import.meta.url)]);
    t.strictSame(JSON.parse(output), [0, 1, 3]);
  }),
);

t.test('all of it can be asked for at once, from several threads', (t) => {
  const { output } = runNode([programPath('./programs/spawn-in-thread.js', import.meta.url)]);
  const ends = Array.from({ length: 4 }, () => ({ 'exited 0': 50 }));
  t.strictSame(JSON.parse(output), { ends, fds: [], dumpable: 1 });
  t.end();
});

t.test('no signal of a storm runs a handler in a child, nor gets lost', (t) => {
  const program = programPath('./programs/spawn-in-storm.js', import.meta.url);
  const { output } = runProgram(process.execPath, [program, '1000', '5000'], {
    group: 'process-group',
  });
  const { received, ends, left } = JSON.parse(output);
  t.equal(received, 5000);
  t.strictSame(Object.keys(ends).sort(), ['exited 0', 'killed by it']);
  t.ok(ends['exited 0'] + ends['killed by it'] >= 1000);
  t.comment(ends);
  t.strictSame(left, { children: [], fds: 0 });
  t.end();
});
