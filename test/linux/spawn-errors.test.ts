import { writeFileSync } from 'node:fs';
import { Fd, isOpen, isSystemError, type SpawnOptions, spawn } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';

/** Options that can't be given, as who writes JavaScript may give them. */
const refused: readonly [options: object, name: 'TypeError' | 'RangeError', message: string][] = [
  [{ user: 5 }, 'TypeError', '`user` must be an object, not 5'],
  [{ user: {} }, 'TypeError', '`user.uid` must be an integer, not undefined'],
  [{ user: { uid: '0', gid: 0 } }, 'TypeError', "`user.uid` must be an integer, not '0'"],
  [{ user: { uid: 0 } }, 'TypeError', '`user.gid` must be an integer, not undefined'],
  [
    { user: { uid: 0xffff_ffff, gid: 0 } },
    'RangeError',
    '`user.uid` must be an integer from 0 to 4294967294, not 4294967295',
  ],
  [{ user: { uid: 0, gid: -1 } }, 'RangeError', '`user.gid` must be an integer from 0 to 4294967294, not -1'],
  [{ user: { uid: 0, gid: 0, groups: 4 } }, 'TypeError', '`user.groups` must be an array, not 4'],
  [
    { user: { uid: 0, gid: 0, groups: [4, 1.5] } },
    'RangeError',
    '`user.groups[1]` must be an integer from 0 to 4294967294, not 1.5',
  ],
  [{ umask: '027' }, 'TypeError', "`umask` must be an integer, not '027'"],
  [{ umask: 0o1000 }, 'RangeError', '`umask` must be an integer from 0 to 511, not 512'],
  [{ limits: [] }, 'TypeError', '`limits` must be an object, not []'],
  [
    { limits: { NOFILE: [1, 2] } },
    'RangeError',
    "`a name of limits` must be one of 'cpu', 'fsize', 'data', 'stack', 'core', 'rss', 'nproc', 'nofile', 'memlock', 'as', 'locks', " +
      "'sigpending', 'msgqueue', 'nice', 'rtprio', 'rttime', not 'NOFILE'",
  ],
  [{ limits: { nofile: 5 } }, 'TypeError', '`limits.nofile` must be an array of a soft and a hard limit, not 5'],
  [{ limits: { nofile: [5] } }, 'TypeError', '`limits.nofile` must be an array of a soft and a hard limit, not [ 5 ]'],
  [{ limits: { nofile: [5, 'x'] } }, 'TypeError', "`limits.nofile[1]` must be an integer, not 'x'"],
  [{ limits: { nofile: [-1, 5] } }, 'RangeError', '`limits.nofile[0]` must be an integer of 0 or more, not -1'],
  [
    { limits: { nofile: [6, 5] } },
    'RangeError',
    '`limits.nofile` must be a soft limit that is not above the hard one, not [ 6, 5 ]',
  ],
  [{ parentDeathSignal: null }, 'TypeError', "`parentDeathSignal` must be a signal's name or number, not null"],
  [{ parentDeathSignal: 'TERM' }, 'RangeError', "`parentDeathSignal` must be a signal's name or number, not 'TERM'"],
  [{ parentDeathSignal: 0 }, 'RangeError', "`parentDeathSignal` must be a signal's name or number, not 0"],
  [{ listenFds: 3 }, 'TypeError', '`listenFds` must be an array of names and descriptors, or an object, not 3'],
  [{ listenFds: [3] }, 'TypeError', '`listenFds[0]` must be an object, not 3'],
  [{ listenFds: [{ fd: 0 }] }, 'TypeError', '`listenFds[0].name` must be a string, not undefined'],
  [{ listenFds: [{ name: '' }] }, 'TypeError', "`listenFds[0].fd` must be a descriptor's number, not undefined"],
  [{ listenFds: { one: 'x' } }, 'TypeError', "`listenFds.one` must be a descriptor's number, not 'x'"],
  [
    { listenFds: { 'a:b': 0 } },
    'RangeError',
    "`a name of listenFds` must be up to 255 characters of printable ASCII without ':', not 'a:b'",
  ],
  [
    { listenFds: [{ name: 'ä', fd: 0 }] },
    'RangeError',
    "`listenFds[0].name` must be up to 255 characters of printable ASCII without ':', not 'ä'",
  ],
  [
    { listenFds: [], fds: [0, 1, 2, 3] },
    'RangeError',
    '`fds` must be an array of 3 at most beside `listenFds`, not [ 0, 1, 2, 3 ]',
  ],
];

for (const [options, name, message] of refused) {
  t.test(`${name}: ${message}`, (t) => {
    t.throws(() => spawn('true', options), { name, message });
    t.end();
  });
}

t.test('a name that is too long, or has a line feed, is refused', (t) => {
  t.throws(() => spawn('true', { listenFds: { ['x'.repeat(256)]: 0 } }), RangeError);
  t.throws(() => spawn('true', { listenFds: { 'x\n': 0 } }), RangeError);
  t.end();
});

t.test(
  'the error is of the system call that failed',
  leavingNothing((t) => {
    using folder = new Folder();
    writeFileSync(folder.join('interpreter'), '#!/missing/interpreter\n', { mode: 0o755 });
    const failing: readonly [options: SpawnOptions, code: string, syscall: string, subject: string | undefined][] = [
      [{ cwd: folder.join('missing') }, 'ENOENT', 'chdir', folder.join('missing')],
      [{ cwd: 'x'.repeat(5000) }, 'ENAMETOOLONG', 'chdir', 'x'.repeat(5000)],
      [{ fds: [0, 1, new Fd(-1)] }, 'EBADF', 'fcntl', '-1'],
      [{ listenFds: { one: 0, two: 9999 } }, 'EBADF', 'fcntl', '9999'],
      [{ limits: { nofile: [0, 2 ** 40] } }, 'EPERM', 'prlimit64', 'nofile'],
      [{ args: ['x'.repeat(200_000)] }, 'E2BIG', 'execve', 'true'],
      [{ env: { X: 'x'.repeat(200_000) } }, 'E2BIG', 'execve', 'true'],
    ];
    for (const [options, code, syscall, subject] of failing) {
      t.throws(() => spawn('true', options), { name: 'SystemError', code, syscall, subject });
    }
    t.throws(() => spawn(folder.join('interpreter')), { code: 'ENOENT', syscall: 'execve' });
  }),
);

t.test(
  'a descriptor that is not open is found before one of the child takes its number',
  leavingNothing((t) => {
    const closed = Array.from({ length: 40 }, (_, index) => index + 3).filter((fd) => !isOpen(fd));
    t.ok(closed.length > 3);
    for (const fd of closed) {
      t.throws(() => spawn('true', { fds: [1, 0, fd] }), { code: 'EBADF', subject: `${fd}` });
      t.throws(() => spawn('true', { fds: [null, 1, fd] }), { code: 'EBADF', subject: `${fd}` });
    }
  }),
);

t.test('without privileges it can neither become a user nor raise its limits', needsRoot, (t) => {
  const { output } = runNode([programPath('./programs/spawn-as-nobody.js', import.meta.url)], ['prlimit', '--core=0']);
  t.strictSame(JSON.parse(output), {
    groups: 'EPERM setgroups undefined',
    group: 'EPERM setgroups 0,4',
    hard: 'EPERM prlimit64 core',
    soft: '',
    children: [],
  });
  t.end();
});

t.test(
  'of several folders one with a program that may not be executed is named, if there is no other one',
  leavingNothing((t) => {
    using first = new Folder();
    using second = new Folder();
    const { PATH } = process.env;
    const codeAlong = (...folders: readonly string[]) => {
      process.env.PATH = folders.join(':');
      try {
        spawn('sdrx-program')[Symbol.dispose]();
        return '';
      } catch (error) {
        return isSystemError(error) ? `${error.code} ${error.syscall}` : String(error);
      } finally {
        process.env.PATH = PATH;
      }
    };
    t.equal(codeAlong(first.path, second.path), 'ENOENT execve');
    writeFileSync(first.join('sdrx-program'), '', { mode: 0o644 });
    t.equal(codeAlong(first.path, second.path), 'EACCES execve');
    t.equal(codeAlong(second.path, first.path), 'EACCES execve');
    writeFileSync(second.join('sdrx-program'), '', { mode: 0o755 });
    t.equal(codeAlong(first.path, second.path), 'ENOEXEC execve');
    t.equal(codeAlong(second.path, first.path), 'ENOEXEC execve', 'it is not looked for any further');
    t.equal(codeAlong(first.join('sdrx-program'), second.path), 'ENOEXEC execve', 'what is no folder is passed over');
  }),
);
