import t from 'tap';
import { byNeed, durationKey, quickestFirst } from '#scripts/tests/order.js';

t.test('the quickest come first, of what one thing does by itself, then of the daemon, then of the rest', async (t) => {
  const sources = ['test/e2e/a.test.ts', 'test/daemon/b.test.ts', 'test/linux/c.test.ts', 'test/event/d.test.ts'];
  const durations = { 'e2e/a': [1, 1], 'daemon/b': [2, 1], 'linux/c': [30, 1], 'event/d': [20, 1] } as const;
  t.strictSame(quickestFirst(sources, durations), [
    'test/event/d.test.ts',
    'test/linux/c.test.ts',
    'test/daemon/b.test.ts',
    'test/e2e/a.test.ts',
  ]);
  t.equal(durationKey('test/event/d.test.ts'), 'event/d');
});

t.test('what needs something unpacked waits for it', async (t) => {
  const sources = ['test/varlink/certification.test.ts', 'test/varlink/fds.test.ts', 'test/e2e/worker.test.ts'];
  t.strictSame(byNeed(sources), [
    ['test/varlink/fds.test.ts'],
    ['test/varlink/certification.test.ts', 'test/e2e/worker.test.ts'],
  ]);
});
