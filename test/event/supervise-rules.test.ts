import { Backoff, LineDecoder, StartLimit } from '@sdrx/event';
import fc from 'fast-check';
import t from 'tap';

/** How a program fares: how long each of its runs lasts, in milliseconds. */
const runs = fc.array(fc.integer({ min: 0, max: 200 }), { maxLength: 40 });

t.test('delays are as a simple model says, whatever the runs', async (t) => {
  const options = fc.record({
    first: fc.integer({ min: 0, max: 50 }),
    most: fc.integer({ min: 50, max: 500 }),
    factor: fc.integer({ min: 1, max: 4 }),
    stableAfter: fc.integer({ min: 0, max: 200 }),
  });
  fc.assert(
    fc.property(options, runs, (options, lasted) => {
      const { first, most, factor, stableAfter } = options;
      const backoff = new Backoff(options);
      const delays = lasted.map((time) => backoff.next(time));
      const model = lasted.map((_, index) => {
        // How many came since the last stable one, which is the first of them.
        const since = lasted
          .slice(0, index + 1)
          .reverse()
          .findIndex((time) => time >= stableAfter);
        const steps = since === -1 ? index : since;
        return Math.min(first * factor ** steps, most);
      });
      t.strictSame(delays, model);
      t.strictSame(
        lasted.map((time) => backoff.isStable(time)),
        lasted.map((time) => time >= stableAfter),
      );
    }),
  );
});

t.test('chance makes a delay longer or shorter by no more than its part', async (t) => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (jitter) => {
      const backoff = new Backoff({ first: 100, factor: 1, jitter });
      const delays = Array.from({ length: 50 }, () => backoff.next(0));
      t.ok(delays.every((delay) => delay >= 100 * (1 - jitter) - 1e-9 && delay <= 100 * (1 + jitter) + 1e-9));
    }),
  );
  const backoff = new Backoff({ first: 100, factor: 1, jitter: 0.5 });
  t.ok(new Set(Array.from({ length: 50 }, () => backoff.next(0))).size > 10);
});

t.test('the longest delay is never below the first', async (t) => {
  t.equal(new Backoff({ first: 60_000 }).next(0), 60_000);
  t.throws(() => new Backoff({ first: 2, most: 1 }), /`backoff.most` must be/);
});

t.test('within no interval there are more starts than the limit has', async (t) => {
  const times = fc.array(fc.integer({ min: 0, max: 30 }), { maxLength: 60 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 100 }), times, (starts, interval, gaps) => {
      const limit = new StartLimit({ starts, interval });
      const taken: number[] = [];
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        const recent = taken.filter((time) => time > now - interval);
        const mayStart = recent.length < starts;
        const wait = limit.wait(now);
        t.equal(wait === 0, mayStart);
        if (!mayStart) {
          // What it says is when the oldest of them is past, and no earlier.
          t.equal(now + wait, (recent.at(-starts) ?? 0) + interval);
        }
        t.equal(limit.take(now), mayStart);
        if (mayStart) taken.push(now);
      }
    }),
  );
});

t.test('lines are those of the whole text, however its bytes are cut into pieces', async (t) => {
  const text = fc.string({ unit: fc.constantFrom('\n', 'a', 'ä', '€', '😀', '\r', '\0'), maxLength: 60 });
  const cuts = fc.array(fc.nat(200), { maxLength: 10 });
  fc.assert(
    fc.property(text, cuts, fc.integer({ min: 2, max: 8 }), (text, cuts, longestLine) => {
      const bytes = Buffer.from(text);
      const edges = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length];
      const decoder = new LineDecoder({ longestLine });
      const lines = edges.slice(1).flatMap((end, index) => decoder.decode(bytes.subarray(edges[index], end)));
      lines.push(...decoder.end());
      t.ok(
        lines.every(
          ({ text }) => text.length <= longestLine && !text.includes('\n') && Buffer.from(text).toString() === text,
        ),
      );
      // A line that is cut is as long as it may be.
      t.ok(lines.every(({ text, cut }) => !cut || text.length >= longestLine - 1));
      const joined = lines.map(({ text, cut }) => (cut ? text : `${text}\n`)).join('');
      t.equal(joined, text === '' || text.endsWith('\n') ? text : `${text}\n`);
      t.strictSame(decoder.end(), []);
    }),
  );
});

t.test('bytes that are no text are replaced, also at the end', async (t) => {
  const decoder = new LineDecoder();
  t.strictSame(decoder.decode(Buffer.from([0x61, 0xff, 0x0a, 0xe2, 0x82])), [{ text: 'a\ufffd', cut: false }]);
  t.strictSame(decoder.end(), [{ text: '\ufffd', cut: false }]);
});
