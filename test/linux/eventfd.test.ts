import { eventfd, O_NONBLOCK, read, statusFlags, write } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNoFd } from '../support/open-fds.js';

t.test(
  'it begins with its initial value, and reading takes all of it',
  leavingNoFd((t) => {
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
  leavingNoFd((t) => {
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
