import { spawnSync } from 'node:child_process';
import t from 'tap';
import { programPath } from '../support/program-path.js';

const scripts = programPath('../../../scripts/dist', import.meta.url);

/** Has one that failed said at once, one at the end, and one beside all tests. Marks on standard error what it has said by then. */
const program = `
const { createReport } = await import(${JSON.stringify(`${scripts}/tests/report.js`)});
const { failed } = await import(${JSON.stringify(`${scripts}/tests/results.js`)});
const run = { key: undefined, name: 'event/file', kind: 'file' };
const passed = { name: 'one', outcome: 'passed', details: [] };
const report = createReport(1);
report.plan([run]);
report.start(run);
report.update(run, [passed]);
process.stderr.write('|');
report.update(run, [passed, failed('event/file > two')]);
process.stderr.write('|');
report.end(run, [passed, failed('event/file > two'), failed('event/file > three')]);
report.fail(failed('set-up: no mirror'));
process.stderr.write('|');
process.stderr.write(String(report.finish().length));
`;

t.test('a failure is shown at once, once, and again at the end', async (t) => {
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' });
  const [first, second, third, end] = stderr.split('|');
  t.equal(first, '');
  t.equal(second, '\n✗ event/file > two\n');
  t.equal(third, '\n✗ event/file > three\n\n✗ set-up: no mirror\n');
  t.equal(end, '\nAll that failed, once more:\n4');
  t.equal(stdout, '\n✗ event/file > two\n\n✗ event/file > three\n\n✗ set-up: no mirror\n\n1 passed, 3 failed\n');
});
