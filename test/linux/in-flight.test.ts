import { openSync } from 'node:fs';
import {
  closeInThreads,
  Fd,
  isOpen,
  MAX_PASSED_FDS,
  pipe,
  putInFlight,
  read,
  sendMessage,
  socketPair,
} from '@sdrx/linux';
import t from 'tap';
import { LingeringSocket } from '../support/lingering-socket.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';

t.test(
  'sockets in flight are open until the one is closed that they are in flight to, with what is in them',
  leavingNothing(async (t) => {
    const pairs = Array.from({ length: MAX_PASSED_FDS }, () => socketPair());
    const [reader, writer] = pipe();
    const [first] = pairs;
    sendMessage(first?.[0].number ?? -1, Buffer.from('x'), { fds: [writer.number] });
    writer.close();
    const numbers = pairs.map(([, theirs]) => theirs.take());
    const flight = putInFlight(numbers);
    t.notOk(
      numbers.some((number) => number !== flight.number && isOpen(number)),
      'their numbers are free',
    );
    const byte = Buffer.alloc(1);
    t.equal(read(reader.number, byte), undefined, 'what was passed is open');
    const [closing] = closeInThreads([flight.take()]);
    await until(() => closing?.ended === true);
    await until(() => read(reader.number, byte) === 0);
    for (const [ours] of pairs) {
      t.throws(() => sendMessage(ours.number, byte), { code: 'EPIPE' });
      ours.close();
    }
    reader.close();
  }),
);

t.test(
  'the thread that closes them waits for what lingers in one, and nobody else does',
  leavingNothing(async (t) => {
    const lingering = new LingeringSocket();
    const pairs = Array.from({ length: 3 }, () => socketPair());
    sendMessage(pairs[1]?.[0].number ?? -1, Buffer.from('x'), { fds: [lingering.fd.number] });
    lingering.fd.close();
    const flight = putInFlight(pairs.map(([, theirs]) => theirs.take()));
    const [closing] = closeInThreads([flight.take()]);
    const [quick] = closeInThreads([new Fd(openSync('/proc/self/exe', 'r')).take()]);
    await until(() => quick?.ended === true);
    t.notOk(closing?.ended);
    lingering.release();
    await until(() => closing?.ended === true);
    for (const [ours] of pairs) ours.close();
  }),
);

t.test(
  'what can not be put in flight stays as it was',
  leavingNothing((t) => {
    t.throws(() => putInFlight([]), RangeError);
    t.throws(() => putInFlight(Array.from({ length: MAX_PASSED_FDS + 1 }, () => 0)), RangeError);
    const [ours, theirs] = socketPair();
    theirs.close();
    t.throws(() => putInFlight([ours.number, -1]), { code: 'EBADF' });
    t.ok(isOpen(ours.number));
    ours.close();
  }),
);
