import { constants } from 'node:os';
import {
  isBlocked,
  SIGRTMAX,
  SIGRTMIN,
  type Signal,
  setBlocked,
  signalName,
  signalNumber,
  signalSet,
  sigqueue,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { hasSignal } from '../support/signal-status.js';

/** The signals that have a name: 32 and 33 are the C library's own. */
const named = () => fc.integer({ min: 1, max: SIGRTMAX }).filter((signo) => signo !== 32 && signo !== 33);

t.test('the name of every signal names that signal', (t) => {
  fc.assert(fc.property(named(), (signo) => signalNumber(signalName(signo) as Signal) === signo));
  t.end();
});

t.test('every name that Node knows has its number', (t) => {
  for (const [name, signo] of Object.entries(constants.signals)) t.equal(signalNumber(name as Signal), signo, name);
  t.end();
});

t.test('where two names share a number, the usual one is given', (t) => {
  t.strictSame([6, 17, 29, 31].map(signalName), ['SIGABRT', 'SIGCHLD', 'SIGIO', 'SIGSYS']);
  t.end();
});

t.test('a real-time signal is counted from either end', (t) => {
  fc.assert(
    fc.property(fc.nat(30), (offset) => {
      t.equal(signalNumber(`SIGRTMIN+${offset}`), SIGRTMIN + offset);
      t.equal(signalNumber(`SIGRTMAX-${offset}`), SIGRTMAX - offset);
    }),
  );
  t.strictSame([signalNumber('SIGRTMIN'), signalNumber('SIGRTMAX')], [34, 64]);
  t.equal(signalName(52), 'SIGRTMIN+18');
  t.end();
});

t.test('a number is its own number, from 1 to 64', (t) => {
  fc.assert(
    fc.property(fc.oneof(fc.integer({ min: -2, max: 70 }), fc.double()), (signo) => {
      if (Number.isInteger(signo) && signo >= 1 && signo <= 64) return signalNumber(signo) === signo;
      t.throws(() => signalNumber(signo), RangeError);
      return true;
    }),
  );
  t.end();
});

t.test('what names no signal throws a RangeError with the name', (t) => {
  const odd = ['SIGNOTHING', 'sigusr1', 'USR1', '', 'SIGRTMIN+31', 'SIGRTMIN-1', 'SIGRTMAX+1', 'SIGRTMAX-31'];
  for (const name of [...odd, 'SIGRTMIN+', 'SIGRTMIN+1.5', 'SIGRTMIN+1x', 'SIGRTMIN+ 1', 'constructor', '10']) {
    t.throws(() => signalNumber(name as Signal), {
      name: 'RangeError',
      message: `\`signal\` must be a signal's name, not '${name}'`,
    });
  }
  t.end();
});

t.test('a number without a name is told as a number', (t) => {
  t.strictSame([0, 32, 65].map(signalName), ['signal 0', 'signal 32', 'signal 65']);
  t.end();
});

t.test('a set has exactly the bits of its signals', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.integer({ min: 1, max: 64 })), (signos) => {
      const bits = signos.reduce((mask, signo) => mask | (1n << BigInt(signo - 1)), 0n);
      const set = signalSet(...signos);
      return set.length === 128 && set.readBigUInt64LE(0) === bits && set.subarray(8).every((byte) => byte === 0);
    }),
  );
  t.throws(() => signalSet(0), RangeError);
  t.throws(() => signalSet(1025), RangeError);
  t.end();
});

t.test('a blocked signal is blocked for the kernel, too, until it is unblocked', (t) => {
  for (const signo of [10, SIGRTMIN, SIGRTMAX]) {
    t.notOk(isBlocked(signo));
    setBlocked(signo, true);
    t.ok(isBlocked(signo));
    t.ok(hasSignal('SigBlk', signo));
    t.notOk(isBlocked(signo - 1));
    setBlocked(signo, false);
    t.notOk(isBlocked(signo));
    t.notOk(hasSignal('SigBlk', signo));
  }
  t.end();
});

t.test('a signal that cannot be blocked stays unblocked without an error', (t) => {
  for (const signo of [9, 19, 32, 33]) {
    setBlocked(signo, true);
    t.notOk(isBlocked(signo), String(signo));
  }
  t.end();
});

t.test('sigqueue throws ESRCH for no process', (t) => {
  t.throws(() => sigqueue(0x7fff_ffff, 'SIGUSR1', 0), {
    code: 'ESRCH',
    syscall: 'sigqueue',
    subject: String(0x7fff_ffff),
  });
  t.end();
});

t.test('sigqueue refuses a value that is no 32-bit integer, and a signal that does not exist', (t) => {
  for (const value of [2 ** 31, -(2 ** 31) - 1, 0.5, Number.NaN]) {
    t.throws(() => sigqueue(process.pid, 'SIGRTMIN', value), RangeError);
  }
  t.throws(() => sigqueue(process.pid, 65, 0), RangeError);
  t.end();
});

t.test('sigqueue throws EPERM for a process of another user', needsRoot, (t) => {
  const program = programPath('./programs/signal-as-nobody.js', import.meta.url);
  t.equal(runNode([program]).output, 'EPERM');
  t.end();
});

t.test('sigqueue throws EAGAIN when the receiver has no room', (t) => {
  const program = programPath('./programs/limited-queue.js', import.meta.url);
  t.equal(runNode([program], ['prlimit', '--sigpending=40']).output, 'EAGAIN');
  t.end();
});
