import t from 'tap';
import type { TestRun } from '#scripts/tests/progress.js';
import { createReport } from '#scripts/tests/report.js';
import { failed, type TestResult } from '#scripts/tests/results.js';

const RUN: TestRun = { key: undefined, name: 'event/file', kind: 'file' };
const passed: TestResult = { name: 'one', outcome: 'passed', details: [] };

/** How often a text stands in another one. */
const count = (text: string, part: string) => text.split(part).length - 1;

t.test('a failure is shown at once, once, and again at the end', async (t) => {
  const said = t.capture(process.stderr, 'write');
  const told = t.capture(process.stdout, 'write');
  const report = createReport(1);
  const errors = () =>
    said()
      .map(({ args: [text] }) => String(text))
      .join('');
  try {
    report.plan([RUN]);
    report.start(RUN);
    report.update(RUN, [passed]);
    const atFirst = errors();
    report.update(RUN, [passed, failed('event/file > two')]);
    const atOnce = errors();
    report.end(RUN, [passed, failed('event/file > two'), failed('event/file > three')]);
    report.fail(failed('set-up: no mirror'));
    const before = errors();
    const results = report.finish();
    const output = told()
      .map(({ args: [text] }) => String(text))
      .join('');
    t.equal(atFirst, '');
    t.match(atOnce, '✗ event/file > two');
    t.strictSame([count(before, '> two'), count(before, '> three'), count(before, 'set-up: no mirror')], [0, 1, 1]);
    t.match(errors(), 'All that failed, once more');
    t.strictSame([count(output, '> two'), count(output, '> three'), count(output, 'set-up: no mirror')], [1, 1, 1]);
    t.match(output, '1 passed, 3 failed');
    t.equal(results.length, 4);
  } finally {
    said.restore();
    told.restore();
  }
});
