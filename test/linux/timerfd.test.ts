import { CLOCKS, type Clock, isOpen, now, TimerFd, toTimespec } from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { isReadable, readable } from '../support/readable.js';
import { runNode } from '../support/run-node.js';

/** The clocks that need neither a privilege nor hardware. */
const PLAIN = ['monotonic', 'realtime', 'boottime'] as const satisfies readonly Clock[];

const milliseconds = () => fc.double({ min: 0, max: 1e13, noNaN: true });

t.test('a time becomes the first nanosecond that is not before it', (t) => {
  fc.assert(
    fc.property(milliseconds(), (time) => {
      const [seconds, nanoseconds] = toTimespec(time);
      t.ok(nanoseconds >= 0n && nanoseconds < 1_000_000_000n);
      // As exact fractions: every double is one with a power of two below it.
      const scale = 1n << 80n;
      const whole = Math.floor(time);
      const exact = BigInt(whole) * scale + BigInt(Math.floor((time - whole) * 2 ** 53)) * (scale >> 53n);
      const armed = (seconds * 1_000_000_000n + nanoseconds) * scale;
      const early = exact * 1_000_000n - armed;
      // The product of the fraction and a million is rounded in its 53rd digit.
      t.ok(early <= scale >> 20n, 'not early');
      t.ok(-early <= scale + (scale >> 20n), 'late by a nanosecond at most');
    }),
  );
  t.end();
});

t.test('whole milliseconds and nanoseconds come through unchanged', (t) => {
  fc.assert(
    fc.property(fc.nat(0x7fff_ffff), fc.nat(999), (seconds, milliseconds) => {
      t.strictSame(toTimespec(seconds * 1000 + milliseconds), [BigInt(seconds), BigInt(milliseconds) * 1_000_000n]);
    }),
  );
  t.strictSame(toTimespec(0.000001), [0n, 1n]);
  t.end();
});

t.test('the last fraction of a second is carried into the next', (t) => {
  t.strictSame(toTimespec(999.9999999), [1n, 0n]);
  t.strictSame(toTimespec(5999.9999999), [6n, 0n]);
  t.end();
});

t.test('a time below zero is zero, one beyond counting is the last that counts, and NaN is none', (t) => {
  t.strictSame(toTimespec(-5), [0n, 0n]);
  t.strictSame(toTimespec(Number.NEGATIVE_INFINITY), [0n, 0n]);
  t.strictSame(toTimespec(1e300), toTimespec(Number.MAX_SAFE_INTEGER));
  t.throws(() => toTimespec(Number.NaN), RangeError);
  t.end();
});

for (const clock of PLAIN) {
  t.test(
    `a timer on the ${clock} clock is never early`,
    leavingNothing(async (t) => {
      using timer = new TimerFd(clock);
      for (let round = 0; round < 30; round++) {
        const at = now(clock) + round / 7;
        timer.arm(at);
        await readable(timer.fd);
        t.ok(now(clock) >= at);
        timer.acknowledge();
        t.notOk(isReadable(timer.fd));
      }
    }),
  );

  t.test(
    `on the ${clock} clock a time in the past, zero and one before the clock's begin expire at once`,
    leavingNothing((t) => {
      using timer = new TimerFd(clock);
      for (const at of [now(clock) - 1000, 0, -1, Number.NEGATIVE_INFINITY]) {
        timer.arm(at);
        t.ok(isReadable(timer.fd), String(at));
        timer.acknowledge();
      }
    }),
  );

  t.test(
    `on the ${clock} clock Infinity disarms, also an expired timer`,
    leavingNothing((t) => {
      using timer = new TimerFd(clock);
      timer.arm(0);
      t.ok(isReadable(timer.fd));
      timer.arm(Number.POSITIVE_INFINITY);
      t.notOk(isReadable(timer.fd));
    }),
  );

  t.test(
    `on the ${clock} clock a time in a far future does not wrap into the past`,
    leavingNothing((t) => {
      using timer = new TimerFd(clock);
      for (const at of [1e15, Number.MAX_SAFE_INTEGER, 1e22, Number.MAX_VALUE]) {
        timer.arm(at);
        t.notOk(isReadable(timer.fd), String(at));
      }
    }),
  );
}

t.test(
  'acknowledging a timer that has not expired is harmless',
  leavingNothing((t) => {
    using timer = new TimerFd('monotonic');
    timer.acknowledge();
    timer.arm(now() + 1e6);
    timer.acknowledge();
    t.notOk(isReadable(timer.fd));
  }),
);

t.test(
  'a disposed timer is closed',
  leavingNothing((t) => {
    const timer = new TimerFd('monotonic');
    const { fd } = timer;
    timer[Symbol.dispose]();
    t.notOk(isOpen(fd));
    t.throws(() => timer.arm(0), { code: 'EBADF', syscall: 'timerfd_settime' });
  }),
);

t.test('an alarm clock needs a capability, without which the timer throws EPERM', needsRoot, (t) => {
  const program = programPath('./programs/alarm-timer.js', import.meta.url);
  const { output } = runNode([program], ['setpriv', '--bounding-set=-all']);
  t.equal(output, 'EPERM');
  t.end();
});

t.test('every clock has the number of clock_gettime(2)', (t) => {
  t.strictSame(CLOCKS, { realtime: 0, monotonic: 1, boottime: 7, 'realtime-alarm': 8, 'boottime-alarm': 9 });
  t.end();
});
