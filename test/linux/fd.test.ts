import { constants, openSync, readFileSync, readlinkSync } from 'node:fs';
import {
  close,
  duplicate,
  Fd,
  isOpen,
  O_ACCMODE,
  O_DIRECTORY,
  O_LARGEFILE,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  read,
  setCloseOnExec,
  setNonBlocking,
  socketPair,
  statusFlags,
  write,
} from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

const open = (path: string, flags: number | string = 'r') => new Fd(openSync(path, flags));

function closesOnExec(fd: number): boolean {
  const [, flags = ''] = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'ascii')) ?? [];
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
}

t.test(
  'an Fd is closed at the end of its scope',
  leavingNothing((t) => {
    let number: number;
    {
      using fd = open('/dev/null');
      number = fd.number;
      t.ok(isOpen(number));
    }
    t.notOk(isOpen(number));
  }),
);

t.test(
  'closing an Fd twice does not close who got its number meanwhile',
  leavingNothing((t) => {
    const first = open('/dev/null');
    const { number } = first;
    first.close();
    using second = open('/dev/zero');
    t.equal(second.number, number);
    first.close();
    t.equal(readlinkSync(`/proc/self/fd/${number}`), '/dev/zero');
    t.equal(first.number, -1);
  }),
);

t.test(
  'an Fd that gave its descriptor away leaves it open',
  leavingNothing((t) => {
    const fd = open('/dev/null');
    const number = fd.take();
    fd.close();
    t.equal(fd.number, -1);
    t.ok(isOpen(number));
    close(number);
  }),
);

t.test(
  'duplicate gives a close-on-exec descriptor of the same file, not below the number asked for',
  leavingNothing((t) => {
    using fd = open('/dev/zero');
    using copy = duplicate(fd.number, 50);
    t.ok(copy.number >= 50);
    t.ok(closesOnExec(copy.number));
    t.equal(readlinkSync(`/proc/self/fd/${copy.number}`), '/dev/zero');
  }),
);

t.test('duplicate throws EBADF for a closed descriptor, EINVAL for a number beyond the limit', (t) => {
  t.throws(() => duplicate(9999), { code: 'EBADF', syscall: 'fcntl', subject: '9999' });
  t.throws(() => duplicate(0, 0x7fff_ffff), { code: 'EINVAL' });
  t.end();
});

t.test(
  'non-blocking is a property of the open file, so its duplicates share it',
  leavingNothing((t) => {
    using fd = open('/dev/null');
    using copy = duplicate(fd.number);
    setNonBlocking(fd.number);
    t.equal(statusFlags(copy.number) & O_NONBLOCK, O_NONBLOCK);
    setNonBlocking(copy.number, false);
    t.equal(statusFlags(fd.number) & O_NONBLOCK, 0);
  }),
);

t.test(
  'close-on-exec is set and cleared for one descriptor only',
  leavingNothing((t) => {
    using fd = open('/dev/null');
    using copy = duplicate(fd.number);
    setCloseOnExec(fd.number, false);
    t.notOk(closesOnExec(fd.number));
    t.ok(closesOnExec(copy.number));
    setCloseOnExec(fd.number);
    t.ok(closesOnExec(fd.number));
  }),
);

t.test('flags of a closed descriptor throw EBADF', (t) => {
  for (const call of [statusFlags, setNonBlocking, setCloseOnExec]) t.throws(() => call(9999), { code: 'EBADF' });
  t.equal(isOpen(9999), false);
  t.end();
});

t.test(
  'the flags are the ones the kernel reports of an open file',
  leavingNothing((t) => {
    t.strictSame(
      [O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK],
      [constants.O_DIRECTORY, constants.O_NOFOLLOW, constants.O_NONBLOCK],
    );
    using folder = open('/', O_PATH | O_DIRECTORY);
    t.equal(statusFlags(folder.number) & (O_PATH | O_DIRECTORY), O_PATH | O_DIRECTORY);
    using file = open('/dev/null', 'r+');
    t.equal(statusFlags(file.number) & O_LARGEFILE, O_LARGEFILE);
    t.equal(statusFlags(file.number) & O_ACCMODE, constants.O_RDWR);
    using nofollow = open('/dev/null', O_NOFOLLOW);
    t.equal(statusFlags(nofollow.number) & O_NOFOLLOW, O_NOFOLLOW);
  }),
);

t.test(
  'read tells bytes, nothing yet, and the end apart',
  leavingNothing((t) => {
    const [ours, theirs] = socketPair();
    using reader = ours;
    const buffer = Buffer.alloc(8);
    t.equal(read(reader.number, buffer), undefined);
    t.equal(write(theirs.number, Buffer.from('hello')), 5);
    t.equal(read(reader.number, buffer), 5);
    t.equal(buffer.toString('ascii', 0, 5), 'hello');
    theirs.close();
    t.equal(read(reader.number, buffer), 0);
  }),
);

t.test(
  'read and write never go beyond the buffer, whatever size is asked for',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using reader = first;
    using writer = second;
    const memory = Buffer.alloc(16, '.');
    t.equal(write(writer.number, Buffer.from('0123456789'), 3), 3);
    t.equal(write(writer.number, Buffer.from('0123456789').subarray(3, 6), 1000), 3);
    t.equal(read(reader.number, memory.subarray(0, 4), 1000), 4);
    t.equal(read(reader.number, memory.subarray(4, 8), 1), 1);
    t.equal(memory.toString(), '01234...........');
  }),
);

t.test(
  'write to a full socket takes nothing and says so',
  leavingNothing((t) => {
    const [ours, theirs] = socketPair();
    using writer = ours;
    using _reader = theirs;
    const buffer = Buffer.alloc(65536);
    let taken: number | undefined = 0;
    while (taken !== undefined) taken = write(writer.number, buffer);
    t.equal(taken, undefined);
  }),
);

t.test(
  'read throws EBADF and EISDIR',
  leavingNothing((t) => {
    t.throws(() => read(9999, Buffer.alloc(1)), { code: 'EBADF', syscall: 'read', subject: '9999' });
    using folder = open('/');
    t.throws(() => read(folder.number, Buffer.alloc(1)), { code: 'EISDIR' });
    using path = open('/dev/null', O_PATH);
    t.throws(() => read(path.number, Buffer.alloc(1)), { code: 'EBADF' });
  }),
);

t.test(
  'write throws EBADF, EPIPE without ending the process, ENOSPC',
  leavingNothing((t) => {
    t.throws(() => write(9999, Buffer.alloc(1)), { code: 'EBADF', syscall: 'write', subject: '9999' });
    const [ours, theirs] = socketPair();
    using writer = ours;
    theirs.close();
    t.throws(() => write(writer.number, Buffer.alloc(1)), { code: 'EPIPE' });
    using full = open('/dev/full', 'w');
    t.throws(() => write(full.number, Buffer.alloc(1)), { code: 'ENOSPC' });
  }),
);
