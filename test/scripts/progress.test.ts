import t from 'tap';
import { type Progress, progressText, type TestRun } from '#scripts/tests/progress.js';
import type { TestResult } from '#scripts/tests/results.js';

function run(
  kind: TestRun['kind'],
  expected: Progress['expected'],
  known: Partial<Progress> = {},
): [TestRun, Progress] {
  return [
    { key: '', name: '', kind },
    { expected, start: undefined, seconds: undefined, results: [], ...known },
  ];
}

const passed = (count: number) =>
  Array.from({ length: count }, (): TestResult => ({ name: 'one', outcome: 'passed', details: [] }));

const text = (jobs: number, now: number, ...runs: readonly [TestRun, Progress][]) =>
  progressText(new Map(runs), jobs, now);

t.test('before the first test all is as expected', async (t) => {
  t.equal(text(1, 0, run('file', [600, 1000]), run('file', [600, 500])), '0 of 1,500 tests, about 20 min left');
  t.equal(text(2, 0, run('file', [600, 1000]), run('file', [600, 500])), '0 of 1,500 tests, about 10 min left');
});

t.test('machines run beside files, so that what takes longer counts', async (t) => {
  t.equal(text(2, 0, run('file', [600, 10]), run('machine', [540, 10])), '0 of 20 tests, about 9 min left');
  t.equal(text(2, 0, run('file', [1200, 10]), run('machine', [540, 10])), '0 of 20 tests, about 10 min left');
});

t.test('what has ended counts as it was, and tells how fast this machine is', async (t) => {
  const ended = { start: 0, seconds: 1260, results: passed(7) };
  t.equal(text(1, 0, run('file', [600, 10], ended), run('file', [600, 10])), '7 of 17 tests, about 20 min left');
});

t.test('what runs takes less time from then on, and none in the end', async (t) => {
  const begun = { start: 1000, results: passed(3) };
  t.equal(text(1, 301_000, run('file', [600, 10], begun)), '3 of 10 tests, about 5 min left');
  t.equal(text(1, 600_000, run('file', [600, 10], begun)), '3 of 10 tests, less than a minute left');
});

t.test('one that takes longer than it should tells that others will, too', async (t) => {
  const slow = { start: 0 };
  t.equal(text(1, 1_260_000, run('file', [600, 10], slow), run('file', [600, 10])), '0 of 20 tests, about 20 min left');
});
