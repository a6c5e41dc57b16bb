import { RateLimit } from '@sdrx/daemon';
import fc from 'fast-check';
import t from 'tap';

t.test('lets a burst through, refuses the next, and lets through again when the window has ended', async (t) => {
  const limit = new RateLimit(2000, 250);
  t.equal(limit.end, undefined);
  for (let start = 0; start < 250; start++) t.equal(limit.take(10 + start), true);
  t.equal(limit.take(500), false);
  t.equal(limit.take(2009.9), false);
  t.equal(limit.end, 2010, 'a refusal does not move the end');
  t.equal(limit.take(2010), true);
  t.equal(limit.end, 4010);
});

t.test('a window begins with the first start after the last one ended, not where that ended', async (t) => {
  const limit = new RateLimit(100, 1);
  limit.take(0);
  t.equal(limit.take(170), true);
  t.equal(limit.end, 270);
  t.equal(limit.take(250), false);
});

t.test('never lets more than a burst through from a window to its end', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(40)), fc.integer({ min: 1, max: 5 }), (gaps, burst) => {
      const limit = new RateLimit(50, burst);
      const perWindow = new Map<number, number>();
      let now = 0;
      for (const gap of gaps) {
        now += gap;
        const full = limit.end !== undefined && now < limit.end && perWindow.get(limit.end) === burst;
        if (limit.take(now) === full || limit.end === undefined) return false;
        if (!full) perWindow.set(limit.end, (perWindow.get(limit.end) ?? 0) + 1);
      }
      return [...perWindow.values()].every((count) => count <= burst);
    }),
  );
});
