import { pipe, read, sendNow, setNonBlocking, socketPair } from '@sdrx/linux';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'sends, and does not wait on a socket that would',
  leavingNothing(async (t) => {
    const [ours, theirs] = socketPair();
    using sender = ours;
    using receiver = theirs;
    setNonBlocking(sender.number, false);
    t.equal(sendNow(sender.number, Buffer.from('text')), 4);
    const buffer = Buffer.alloc(10);
    t.equal(read(receiver.number, buffer), 4);
    t.equal(buffer.toString('latin1', 0, 4), 'text');
    let sent = 0;
    for (let count = sendNow(sender.number, buffer); count !== undefined; count = sendNow(sender.number, buffer)) {
      sent += count;
    }
    t.ok(sent > 1000);
  }),
);

t.test('an other end that is gone is an error, not a signal', async (t) => {
  const [ours, theirs] = socketPair();
  using sender = ours;
  theirs.close();
  t.equal(
    errorCode(() => sendNow(sender.number, Buffer.from('x'))),
    'EPIPE',
  );
});

t.test('so is what is no socket', async (t) => {
  const [ours, theirs] = pipe();
  t.equal(
    errorCode(() => sendNow(theirs.number, Buffer.from('x'))),
    'ENOTSOCK',
  );
  ours.close();
  theirs.close();
});
