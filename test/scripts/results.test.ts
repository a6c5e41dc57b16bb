import t from 'tap';
import { readFileResults, readResults, readUnfinished, summary } from '#scripts/tests/results.js';

const outcomes = (results: ReturnType<typeof readResults>) => results.map(({ name, outcome }) => `${outcome}: ${name}`);

const FILE = `TAP version 14
# Subtest: one
    ok 1 - an assertion
    1..1
ok 1 - one # time=3ms

# Subtest: two
    # Subtest: within
        not ok 1 - should be equal
          ---
          found: 2
          ...
        1..1
    not ok 1 - within
    1..1
not ok 2 - two
ok 3 - three # SKIP not here
1..3
`;

t.test('a test file has its tests, with the names of those around them', async (t) => {
  const results = readFileResults('a/file', FILE, undefined);
  t.strictSame(outcomes(results), ['passed: a/file > one', 'failed: a/file > two > within', 'skipped: a/file > three']);
  t.equal(results[1]?.details[0]?.name, 'should be equal');
  t.equal(summary(results), '1 passed, 1 failed, 1 skipped');
});

t.test('a file that fails beside its tests has a failure more', async (t) => {
  const good = 'TAP version 14\nok 1 - one\n1..1\n';
  t.strictSame(outcomes(readFileResults('f', good, undefined)), ['passed: f > one']);
  t.strictSame(outcomes(readFileResults('f', good, 'it ended with exit code 7')), [
    'passed: f > one',
    'failed: f: it ended with exit code 7',
  ]);
  t.strictSame(outcomes(readFileResults('f', 'TAP version 14\nok 1 - one\n1..2\n', undefined)), [
    'passed: f > one',
    'failed: f: its tests are not those that it planned',
  ]);
  t.strictSame(outcomes(readFileResults('f', 'TAP version 14\n1..0 # no root\n', undefined)), ['skipped: f']);
});

t.test('what a machine has said so far is the beginning of what it will have said, wherever it is', async (t) => {
  const indented = FILE.split('\n').map((line) => (line === '' ? '' : `    ${line}`));
  const whole = `TAP version 14\n# Subtest: tests\n${indented.join('\n')}not ok 1 - tests\n1..1\n`;
  const all = outcomes(readResults(whole));
  t.equal(all.length, 3);
  let most = 0;
  for (let length = 0; length <= whole.length; length++) {
    const some = outcomes(readUnfinished(whole.slice(0, length)));
    t.strictSame(some, all.slice(0, some.length), `${length} characters`);
    most = Math.max(most, some.length);
  }
  t.equal(most, 1, 'all but what may not be whole');
});
