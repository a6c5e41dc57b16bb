import { openSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { Fd, O_NOFOLLOW, O_PATH, socketPair, statx } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';

/** The mount that an open file is on, as the kernel lists it. proc_pid_fdinfo(5). */
function mountId(fd: number): bigint {
  const [, id = ''] = /^mnt_id:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'ascii')) ?? [];
  return BigInt(id);
}

/** As /proc/self/mountinfo writes it; the numbers of stat(2) have their bits mixed. makedev(3) */
function device(path: string): string {
  const { dev } = statSync(path);
  return `${(dev >> 8) & 0xfff}:${(dev & 0xff) | ((dev >> 12) & 0xfff00)}`;
}

t.test(
  'it tells inode, device, kind and mount of whatever is open',
  leavingNothing((t) => {
    using folder = new Folder();
    for (const path of [folder.path, '/proc', '/proc/self/ns/user', '/dev/null']) {
      using file = new Fd(openSync(path, 'r'));
      t.strictSame(statx(file.number), {
        inode: statSync(path, { bigint: true }).ino,
        device: device(path),
        isDirectory: statSync(path).isDirectory(),
        isSymbolicLink: false,
        mountId: mountId(file.number),
      });
    }
  }),
);

t.test(
  'an O_PATH descriptor will do, and a socket',
  leavingNothing((t) => {
    using path = new Fd(openSync('/proc', O_PATH));
    t.equal(statx(path.number).mountId, mountId(path.number));
    const [first, second] = socketPair();
    using socket = first;
    second.close();
    t.equal(statx(socket.number).mountId, mountId(socket.number));
  }),
);

t.test('a symbolic link that was opened itself is one', (t) => {
  using folder = new Folder();
  symlinkSync('nowhere', folder.join('link'));
  using link = new Fd(openSync(folder.join('link'), O_PATH | O_NOFOLLOW));
  t.match(statx(link.number), { isDirectory: false, isSymbolicLink: true });
  t.end();
});

t.test('different mounts have different ids', (t) => {
  using first = new Fd(openSync('/proc', 'r'));
  using second = new Fd(openSync('/', 'r'));
  t.not(statx(first.number).mountId, statx(second.number).mountId);
  t.end();
});

t.test('a closed descriptor throws EBADF', (t) => {
  t.throws(() => statx(9999), { code: 'EBADF', syscall: 'statx', subject: '9999' });
  t.end();
});
