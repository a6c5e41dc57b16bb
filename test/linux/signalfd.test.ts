import { isOpen, libc, O_NONBLOCK, SIGRTMIN, SignalFd, setBlocked, signalNumber, statusFlags } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

// To this thread and no other, so that no forwarder is needed: pthread_sigqueue(3).
const pthreadSelf = libc<() => bigint | number>('ulong pthread_self()');
const pthreadSigqueue = libc<(thread: bigint | number, signo: number, value: bigint) => number>(
  'int pthread_sigqueue(ulong, int, intptr_t)',
);
const pthreadKill = libc<(thread: bigint | number, signo: number) => number>('int pthread_kill(ulong, int)');

const uid = process.getuid?.() ?? -1;
const SIGUSR1 = signalNumber('SIGUSR1');

for (const signo of [SIGRTMIN, SIGUSR1]) setBlocked(signo, true);

t.test(
  'a queued signal comes with its sender and its value, any 32-bit integer',
  leavingNothing((t) => {
    using signals = new SignalFd(SIGRTMIN);
    fc.assert(
      fc.property(fc.integer(), (value) => {
        pthreadSigqueue(pthreadSelf(), SIGRTMIN, BigInt(value));
        t.strictSame(signals.read(), [{ signo: SIGRTMIN, code: -1, pid: process.pid, uid, value }]);
      }),
      { numRuns: 50 },
    );
  }),
);

t.test(
  'a signal of tgkill(2) has its own code and no value',
  leavingNothing((t) => {
    using signals = new SignalFd(SIGUSR1);
    pthreadKill(pthreadSelf(), SIGUSR1);
    t.strictSame(signals.read(), [{ signo: SIGUSR1, code: -6, pid: process.pid, uid, value: 0 }]);
  }),
);

t.test(
  'many come 64 at a time and in order',
  leavingNothing((t) => {
    using signals = new SignalFd(SIGRTMIN);
    for (let value = 0; value < 100; value++) pthreadSigqueue(pthreadSelf(), SIGRTMIN, BigInt(value));
    const batches = [signals.read(), signals.read(), signals.read()];
    t.strictSame(
      batches.map((batch) => batch.length),
      [64, 36, 0],
    );
    t.strictSame(
      batches.flat().map(({ value }) => value),
      Array.from({ length: 100 }, (_, value) => value),
    );
  }),
);

t.test(
  'it receives its own signal only',
  leavingNothing((t) => {
    using signals = new SignalFd(SIGRTMIN);
    using others = new SignalFd(SIGUSR1);
    pthreadKill(pthreadSelf(), SIGUSR1);
    t.strictSame(signals.read(), []);
    t.equal(others.read().length, 1);
  }),
);

t.test(
  'it is non-blocking, and closed when disposed of',
  leavingNothing((t) => {
    const signals = new SignalFd(SIGUSR1);
    const { fd } = signals;
    t.equal(statusFlags(fd) & O_NONBLOCK, O_NONBLOCK);
    signals[Symbol.dispose]();
    t.notOk(isOpen(fd));
    t.throws(() => signals.read(), { code: 'EBADF' });
  }),
);

t.test('a number that no signal set can hold throws a RangeError', (t) => {
  t.throws(() => new SignalFd(0), RangeError);
  t.end();
});
