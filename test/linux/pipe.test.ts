import { O_NONBLOCK, pipe, read, statusFlags, write } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'what is written to one end is read from the other, until the writing end is closed',
  leavingNothing((t) => {
    const [ours, writer] = pipe();
    using reader = ours;
    const buffer = Buffer.alloc(8);
    t.equal(read(reader.number, buffer), undefined);
    write(writer.number, Buffer.from('hello'));
    t.equal(read(reader.number, buffer), 5);
    t.equal(statusFlags(writer.number) & O_NONBLOCK, O_NONBLOCK);
    writer.close();
    t.equal(read(reader.number, buffer), 0);
  }),
);
