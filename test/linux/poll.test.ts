import { EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT, isReadable, pipe, pollNow, write } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'it tells what there is right now, of what was asked for',
  leavingNothing(async (t) => {
    const [reader, writer] = pipe();
    t.equal(pollNow(reader.number, EPOLLIN), 0);
    t.equal(pollNow(writer.number, EPOLLIN | EPOLLOUT), EPOLLOUT);
    write(writer.number, Buffer.from('x'));
    t.equal(pollNow(reader.number, EPOLLIN), EPOLLIN);
    t.equal(pollNow(reader.number, 0), 0);
    t.ok(isReadable(reader.number));
    t.notOk(isReadable(writer.number));
    reader.close();
    t.equal(pollNow(writer.number, 0), EPOLLERR, 'and unasked, that nobody reads');
    writer.close();
    const [other, gone] = pipe();
    gone.close();
    t.equal(pollNow(other.number, EPOLLIN), EPOLLHUP);
    const { number } = other;
    other.close();
    t.throws(() => pollNow(number, EPOLLIN), { code: 'EBADF', syscall: 'poll' });
    t.throws(
      () => pollNow(-1, EPOLLIN),
      { code: 'EBADF', syscall: 'poll' },
      'of a descriptor that was given away, too',
    );
  }),
);
