import { chmodSync, openSync, readdirSync, readFileSync, readlinkSync, realpathSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import {
  duplicate,
  Fd,
  forwardToMainThread,
  pidfdOpen,
  SIGRTMIN,
  type SpawnOptions,
  setBlocked,
  setCloseOnExec,
  spawn,
  WEXITED,
  waitPidfd,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runProgram } from '../support/run-program.js';
import { runWithLimit } from '../support/run-with-limit.js';
import { signalMask } from '../support/signal-status.js';
import { waitForExit } from '../support/wait-for-exit.js';

const { SIGTERM, SIGKILL, SIGUSR1, SIGUSR2 } = constants.signals;

/** Starts a program that opens nothing and waits, and looks at it from outside. The child runs it once spawn returned. */
function lookAtChild<T>(options: SpawnOptions, look: (pid: number) => T): T {
  const child = spawn('sleep', { ...options, args: ['1000'] });
  try {
    return look(child.pid);
  } finally {
    child.kill(SIGKILL);
    waitForExit(child);
  }
}

function fdsOf(pid: number): Record<number, string> {
  // A program is loaded, from files that it opens and closes, once it has begun; then it sleeps.
  while (!readFileSync(`/proc/${pid}/wchan`, 'ascii').includes('nanosleep'));
  const names = readdirSync(`/proc/${pid}/fd`);
  return Object.fromEntries(names.map((fd) => [fd, readlinkSync(`/proc/${pid}/fd/${fd}`)]));
}

function statusOf(pid: number): string {
  return readFileSync(`/proc/${pid}/status`, 'ascii');
}

/** Process group and session: the third and fourth value after the name in parentheses. proc_pid_stat(5). */
function groupAndSession(pid: number): [number, number] {
  const [, , group, session] = readFileSync(`/proc/${pid}/stat`, 'ascii')
    .replace(/^.*\) /, '')
    .split(' ')
    .map(Number);
  return [group ?? -1, session ?? -1];
}

const open = (path: string) => new Fd(openSync(path, 'r'));

t.test(
  'a program is found along PATH and gets its arguments as they are',
  leavingNothing((t) => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1 }), (args) => {
        fc.pre(!args.some((arg) => arg.includes('\0')));
        // An argument more that ends every argument, for the program to know them apart.
        const { output } = runProgram('printf', ['%s\\0', ...args]);
        t.equal(output, args.map((arg) => `${arg}\0`).join(''));
      }),
      { numRuns: 20 },
    );
  }),
);

t.test(
  'arguments may be many and long, and too long throws E2BIG',
  leavingNothing((t) => {
    const long = 'ä'.repeat(65_000);
    const { output } = runProgram('sh', [
      '-c',
      'echo $# $(printf %s "$1" | wc -c)',
      'sh',
      ...Array.from({ length: 10 }, () => long),
    ]);
    t.equal(output, '10 130000\n');
    const many = runProgram('sh', ['-c', 'echo $#', 'sh', ...Array.from({ length: 20_000 }, () => 'x')]);
    t.equal(many.output, '20000\n');
    t.throws(() => spawn('true', { args: ['x'.repeat(200_000)] }), { code: 'E2BIG', syscall: 'execve' });
  }),
);

t.test(
  'a NUL in any string throws EINVAL, for it would cut the string short',
  leavingNothing((t) => {
    t.throws(() => spawn('true\0false'), { code: 'EINVAL', syscall: 'execve', subject: 'true\\0false' });
    t.throws(() => spawn('true', { args: ['fine', 'a\0b'] }), { code: 'EINVAL', subject: 'a\\0b' });
    t.throws(() => spawn('true', { env: { NAME: 'a\0b' } }), { code: 'EINVAL', subject: 'NAME=a\\0b' });
    t.throws(() => spawn('true', { cwd: '/\0x' }), { code: 'EINVAL' });
  }),
);

t.test(
  'the environment is the one given and nothing else, without what is undefined',
  leavingNothing((t) => {
    const env = { NAME: 'wörter 漢字', EMPTY: '', GONE: undefined };
    t.equal(runProgram('/usr/bin/env', [], { env }).output, 'NAME=wörter 漢字\nEMPTY=\n');
    t.equal(runProgram('/usr/bin/env', [], { env: {} }).output, '');
  }),
);

t.test(
  'the environment is ours if none is given',
  leavingNothing((t) => {
    process.env.SDRX_TEST = 'here';
    t.equal(runProgram('sh', ['-c', 'printf %s "$SDRX_TEST"']).output, 'here');
    delete process.env.SDRX_TEST;
  }),
);

t.test(
  'it starts in the folder asked for, also a program of that folder',
  leavingNothing((t) => {
    using folder = new Folder();
    t.equal(runProgram('pwd', ['-P'], { cwd: folder.path }).output, `${realpathSync(folder.path)}\n`);
    writeFileSync(folder.join('program'), '#!/bin/sh\necho found\n', { mode: 0o755 });
    t.equal(runProgram('./program', [], { cwd: folder.path }).output, 'found\n');
  }),
);

t.test(
  'a program that is missing throws ENOENT, and so does a folder',
  leavingNothing((t) => {
    const missing = { code: 'ENOENT', errno: -2, syscall: 'execve' };
    t.throws(() => spawn('/missing/program'), { ...missing, subject: '/missing/program' });
    const { PATH } = process.env;
    process.env.PATH = '/bin:/missing'; // a folder there that can't be searched makes it EACCES
    t.throws(() => spawn('sdrx-missing-program'), missing);
    process.env.PATH = PATH;
    t.throws(() => spawn('true', { cwd: '/missing' }), { ...missing, syscall: 'chdir' });
    t.throws(() => spawn(''), missing);
  }),
);

t.test(
  'what is no program throws EACCES or ENOEXEC',
  leavingNothing((t) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), 'no program\n');
    t.throws(() => spawn(folder.join('file')), { code: 'EACCES' });
    t.throws(() => spawn(folder.path), { code: 'EACCES' });
    chmodSync(folder.join('file'), 0o755);
    t.throws(() => spawn(folder.join('file')), { code: 'ENOEXEC' });
  }),
);

t.test(
  'the child has the descriptors asked for and no others, whether close-on-exec or not',
  leavingNothing((t) => {
    using zero = open('/dev/zero');
    using full = open('/dev/full');
    setCloseOnExec(full.number, false);
    using high = duplicate(full.number, 300);
    setCloseOnExec(high.number, false);
    const found = lookAtChild({ fds: [null, zero, high.number, null, full] }, fdsOf);
    t.strictSame(found, { 0: '/dev/null', 1: '/dev/zero', 2: '/dev/full', 3: '/dev/null', 4: '/dev/full' });
    t.strictSame(lookAtChild({ fds: [] }, fdsOf), {});
  }),
);

t.test(
  'by default the child shares the standard ones only',
  leavingNothing((t) => {
    using zero = open('/dev/zero');
    setCloseOnExec(zero.number, false);
    const ours = [0, 1, 2].map((fd) => [fd, readlinkSync(`/proc/self/fd/${fd}`)]);
    t.strictSame(lookAtChild({}, fdsOf), Object.fromEntries(ours));
  }),
);

t.test(
  'descriptors may be exchanged, repeated, and be among the numbers they go to',
  leavingNothing((t) => {
    // Four files at the lowest free numbers, so that these are targets, too.
    const files = ['/dev/zero', '/dev/full', '/dev/null', '/dev/urandom'].map(open);
    const [lowest = 0, highest = 0] = [files.at(0)?.number, files.at(-1)?.number];
    const source = fc.oneof(fc.constantFrom(...files, ...files.map((file) => file.number), 0, 1, 2), fc.constant(null));
    fc.assert(
      fc.property(fc.array(source, { maxLength: highest + 3 }), (fds) => {
        const expected = fds.map((fd) =>
          fd === null ? '/dev/null' : readlinkSync(`/proc/self/fd/${typeof fd === 'number' ? fd : fd.number}`),
        );
        t.strictSame(lookAtChild({ fds }, fdsOf), { ...expected });
      }),
      { numRuns: 30 },
    );
    const rotated = Array.from({ length: highest + 1 }, (_, fd) =>
      fd < lowest ? null : fd === lowest ? highest : fd - 1,
    );
    const found = lookAtChild({ fds: rotated }, fdsOf);
    t.equal(found[lowest], '/dev/urandom');
    t.equal(found[highest], '/dev/null');
    for (const file of files) file.close();
  }),
);

t.test(
  'a closed descriptor throws EBADF',
  leavingNothing((t) => {
    const closed = open('/dev/null');
    closed.close();
    for (const fd of [closed, 9999, -1, -5])
      t.throws(() => spawn('true', { fds: [null, 1, 2, fd] }), { code: 'EBADF' });
    t.throws(() => spawn('true', { fds: [0, 1, 2, 7, 9998, 9999] }), { code: 'EBADF' });
  }),
);

t.test(
  'the error names what is at fault: the folder, the descriptor, or the program',
  leavingNothing((t) => {
    using folder = new Folder();
    writeFileSync(folder.join('file'), '', { mode: 0o755 });
    const missing = folder.join('missing');
    const closed = new Fd(-1);
    const faults: readonly [file: string, options: SpawnOptions, code: string, syscall: string, subject: string][] = [
      ['true', { cwd: missing }, 'ENOENT', 'chdir', missing],
      ['true', { cwd: folder.join('file') }, 'ENOTDIR', 'chdir', folder.join('file')],
      [missing, { cwd: folder.path }, 'ENOENT', 'execve', missing],
      [missing, {}, 'ENOENT', 'execve', missing],
      ['true', { fds: [0, 1, 9999] }, 'EBADF', 'fcntl', '9999'],
      ['true', { fds: [0, 1, 2, closed] }, 'EBADF', 'fcntl', '-1'],
      ['true', { fds: [0, 1, 9999], cwd: missing }, 'EBADF', 'fcntl', '9999'],
      [folder.path, {}, 'EACCES', 'execve', folder.path],
    ];
    for (const [file, options, code, syscall, subject] of faults) {
      t.throws(() => spawn(file, options), { code, syscall, subject });
    }
  }),
);

t.test("Node's order of arguments is refused with a word on ours", (t) => {
  const ofNode = spawn as unknown as (file: string, args: readonly string[]) => void;
  t.throws(() => ofNode('echo', ['hi']), {
    name: 'TypeError',
    message: "`options` must be an object, of which the arguments are `args`, not [ 'hi' ]",
  });
  t.end();
});

t.test('a descriptor whose number is beyond the limit by now is passed as any other', (t) => {
  const program = programPath('./programs/fd-beyond-limit.js', import.meta.url);
  t.strictSame(runWithLimit(1000, program), { status: 0, children: [] });
  t.end();
});

t.test('without room for the pidfd it throws EMFILE, and no child is left', (t) => {
  const program = programPath('./programs/no-room-to-spawn.js', import.meta.url);
  t.strictSame(runWithLimit(120, program), { code: 'EMFILE', children: [] });
  t.end();
});

t.test(
  'the child blocks, ignores and catches nothing, whatever we do',
  leavingNothing((t) => {
    const blocked = [SIGUSR1, SIGTERM, SIGRTMIN, SIGRTMIN + 18, 64];
    for (const signo of blocked) setBlocked(signo, true);
    const restore = [SIGUSR2, SIGRTMIN + 18].map(forwardToMainThread);
    t.ok((signalMask('SigIgn') & (1n << 12n)) !== 0n, 'we ignore SIGPIPE');
    const status = lookAtChild({}, statusOf);
    for (const undo of restore) undo();
    for (const signo of blocked) setBlocked(signo, false);
    t.equal(signalMask('SigBlk', status), 0n);
    t.equal(signalMask('SigIgn', status), 0n);
    t.equal(signalMask('SigCgt', status), 0n);
    t.equal(signalMask('SigPnd', status), 0n);
    t.equal(signalMask('ShdPnd', status), 0n);
  }),
);

t.test(
  'a process that was started with ignored signals starts programs that do not ignore them',
  leavingNothing((t) => {
    const program = programPath('./programs/show-child-status.js', import.meta.url);
    const { output } = runNode([program], ['sh', '-c', `trap '' HUP USR1 CHLD; exec "$0" "$@"`]);
    t.equal(signalMask('SigIgn', output), 0n);
  }),
);

t.test(
  'it is in our process group and session, unless it gets its own',
  leavingNothing((t) => {
    const [group, session] = groupAndSession(process.pid);
    t.strictSame(lookAtChild({}, groupAndSession), [group, session]);
    const own = lookAtChild({ group: 'process-group' }, (pid) => [pid, ...groupAndSession(pid)]);
    t.strictSame(own, [own[0], own[0], session]);
    const alone = lookAtChild({ group: 'session' }, (pid) => [pid, ...groupAndSession(pid)]);
    t.strictSame(alone, [alone[0], alone[0], alone[0]]);
  }),
);

t.test(
  'kill reaches the child, and says when it is gone',
  leavingNothing((t) => {
    using child = spawn('sleep', { args: ['1000'] });
    t.equal(child.kill(), true);
    t.strictSame(waitPidfd(child.pidfd.number, WEXITED), { pid: child.pid, code: 'killed', status: SIGTERM });
    t.equal(child.kill(), false);
    t.throws(() => child.kill(0), RangeError);
  }),
);

t.test(
  'disposing of it closes the pidfd and lets the child go on',
  leavingNothing((t) => {
    const child = spawn('sleep', { args: ['1000'] });
    child[Symbol.dispose]();
    t.throws(() => child.kill(), { code: 'EBADF' });
    using again = pidfdOpen(child.pid);
    process.kill(child.pid, 'SIGUSR1');
    t.match(waitPidfd(again.number, WEXITED), { code: 'killed', status: SIGUSR1 });
  }),
);

t.test('kill throws EPERM for a child that became another user', needsRoot, (t) => {
  const program = programPath('./programs/kill-as-nobody.js', import.meta.url);
  t.equal(runNode([program]).output, 'EPERM');
  t.end();
});

t.test('at the limit of processes it throws EAGAIN', needsRoot, (t) => {
  const program = programPath('./programs/no-more-processes.js', import.meta.url);
  t.equal(runNode([program]).output, 'EAGAIN');
  t.end();
});
