import { hrtime } from 'node:process';
import { CLOCKS, type Clock, now } from '@sdrx/linux';
import t from 'tap';

t.test("realtime agrees with Node's", (t) => {
  const before = Date.now();
  const between = now('realtime');
  t.ok(between >= before);
  t.ok(between < Date.now() + 1);
  t.end();
});

t.test("monotonic agrees with Node's, and is what is read by default", (t) => {
  const before = Number(hrtime.bigint()) / 1e6;
  const times = [now(), now('monotonic'), now()];
  const after = Number(hrtime.bigint()) / 1e6;
  t.strictSame(
    [before, ...times, after],
    [before, ...times, after].sort((a, b) => a - b),
  );
  t.end();
});

t.test('every clock has fractions and never goes back within a thousand reads', (t) => {
  for (const clock of Object.keys(CLOCKS) as Clock[]) {
    const times = Array.from({ length: 1000 }, () => now(clock));
    t.ok(
      times.some((time) => !Number.isInteger(time)),
      `${clock} has fractions`,
    );
    t.ok(
      times.every((time, index) => index === 0 || time >= (times[index - 1] ?? 0)),
      `${clock} goes on`,
    );
  }
  t.end();
});

t.test('an alarm clock can be read on every machine, and shows the time of the clock it wakes by', (t) => {
  t.ok(now('realtime-alarm') - now('realtime') < 1);
  t.ok(now('boottime-alarm') >= now('monotonic') - 1);
  t.end();
});
