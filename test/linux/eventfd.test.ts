import { readFileSync } from 'node:fs';
import { EventFd, eventfd, O_NONBLOCK, read, statusFlags, write } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { isReadable } from '../support/readable.js';

t.test(
  'it begins with its initial value, and reading takes all of it',
  leavingNothing((t) => {
    const buffer = Buffer.alloc(8);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), (initial) => {
        using fd = eventfd(initial);
        t.equal(read(fd.number, buffer), 8);
        t.equal(buffer.readBigUInt64LE(), BigInt(initial));
        t.equal(read(fd.number, buffer), undefined);
      }),
      { numRuns: 20 },
    );
  }),
);

t.test(
  'it is non-blocking and adds up what is written',
  leavingNothing((t) => {
    using fd = eventfd();
    t.equal(statusFlags(fd.number) & O_NONBLOCK, O_NONBLOCK);
    const buffer = Buffer.alloc(8);
    t.equal(read(fd.number, buffer), undefined);
    buffer.writeBigUInt64LE(7n);
    write(fd.number, buffer);
    write(fd.number, buffer);
    read(fd.number, buffer);
    t.equal(buffer.readBigUInt64LE(), 14n);
  }),
);

t.test(
  'an EventFd is readable while it has something, adds up what it is given, and gives it all at once',
  leavingNothing((t) => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), fc.array(fc.nat(0xffff_ffff)), (initial, counts) => {
        using event = new EventFd(initial);
        for (const count of counts) event.add(count);
        const sum = counts.reduce((total, count) => total + count, initial);
        t.equal(isReadable(event.fd), sum > 0);
        t.equal(event.take(), sum);
        t.equal(event.take(), 0);
        t.notOk(isReadable(event.fd));
      }),
      { numRuns: 30 },
    );
    using event = new EventFd();
    event.add();
    event.add();
    t.equal(event.take(), 2, 'one if not said otherwise');
    event.add(Number.MAX_SAFE_INTEGER);
    t.equal(event.take(), Number.MAX_SAFE_INTEGER);
  }),
);

t.test(
  'one that is a semaphore gives one at a time',
  leavingNothing((t) => {
    using event = new EventFd(2, { semaphore: true });
    event.add();
    t.strictSame([event.take(), event.take(), event.take(), event.take()], [1, 1, 1, 0]);
  }),
);

t.test(
  'an EventFd is non-blocking: full, it throws EAGAIN and keeps what it has',
  leavingNothing((t) => {
    using event = new EventFd();
    t.equal(statusFlags(event.fd) & O_NONBLOCK, O_NONBLOCK);
    // It holds 2⁶⁴ − 2, and a number tells no more than 2⁵³ − 1 exactly.
    for (let time = 0; time < 2048; time++) event.add(Number.MAX_SAFE_INTEGER);
    const full = { code: 'EAGAIN', syscall: 'eventfd_write', subject: String(event.fd) };
    t.throws(() => event.add(Number.MAX_SAFE_INTEGER), full);
    t.equal(event.take(), 2 ** 64 - 2048);
    event.add();
    t.equal(event.take(), 1);
  }),
);

t.test(
  'two of them do not mix, and a program that is started inherits none',
  leavingNothing((t) => {
    using first = new EventFd(1);
    using second = new EventFd(2);
    t.strictSame([second.take(), first.take()], [2, 1]);
    t.match(readFileSync(`/proc/self/fdinfo/${first.fd}`, 'ascii'), /^flags:\t0?2/m, 'close-on-exec');
  }),
);

t.test('one that was disposed of throws EBADF', (t) => {
  const event = new EventFd(3);
  event[Symbol.dispose]();
  event[Symbol.dispose]();
  t.equal(event.fd, -1);
  t.throws(() => event.add(), { code: 'EBADF', syscall: 'eventfd_write' });
  t.throws(() => event.take(), { code: 'EBADF', syscall: 'eventfd_read' });
  t.end();
});
