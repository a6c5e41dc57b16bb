/**
 * @typedef {object} TestResult
 * @property {string} name with the names of its file and of the tests around it
 * @property {'passed' | 'failed' | 'skipped'} outcome
 * @property {import('tap-parser').Result[]} details of a failure
 */

/**
 * Reads what the tests of a run said. A test is each `t.test()` that holds no further one, and each assertion that
 * stands in its file outside of any. The assertions within a test are not counted: how many there are says little.
 *
 * @param {string} tap of tap's runner, in which every file is a subtest
 * @returns {Promise<TestResult[]>}
 */
export async function readResults(tap) {
  // Imported when called: this file is loaded before anything is installed.
  const { Parser } = await import('tap-parser');
  return readLevel(Parser.parse(tap), 0).tests;
}

/**
 * @param {string} tap of tap's runner
 * @returns {Promise<string>} which files took the longest
 */
export async function slowestFiles(tap) {
  const { Parser } = await import('tap-parser');
  return Parser.parse(tap)
    .flatMap(([kind, value]) => (kind === 'assert' ? [{ name: value.name, time: value.time ?? 0 }] : []))
    .sort((one, other) => other.time - one.time)
    .slice(0, 10)
    .map(({ name, time }) => `${name.replace(/^test\/dist\/|\.test\.js$/g, '')} ${Math.round(time / 1000)} s`)
    .join(', ');
}

/**
 * @param {import('tap-parser').EventLog} events
 * @param {number} depth 0: the runner's, 1: a test file's, 2 and more: a test's
 */
function readLevel(events, depth) {
  /** @type {{ tests: TestResult[], failures: import('tap-parser').Result[] }} */
  const level = { tests: [], failures: [] };
  /** @type {typeof level | undefined} */
  let within;
  for (const [kind, value] of events) {
    if (kind === 'child') within = readLevel(value, depth + 1);
    if (kind === 'bailout') level.tests.push({ name: `bailed out: ${value}`, outcome: 'failed', details: [] });
    if (kind !== 'assert') continue;
    if (within || depth < 2) level.tests.push(...testsOf(value, within));
    else if (outcomeOf(value) === 'failed') level.failures.push(value);
    within = undefined;
  }
  return level;
}

/** @param {import('tap-parser').Result} result @returns {TestResult['outcome']} */
function outcomeOf(result) {
  if (result.skip || result.todo) return 'skipped';
  return result.ok ? 'passed' : 'failed';
}

/**
 * @param {import('tap-parser').Result} result
 * @param {ReturnType<typeof readLevel>} [within] what the subtest holds of which this is the result
 * @returns {TestResult[]}
 */
function testsOf(result, within = { tests: [], failures: [] }) {
  const details = within.failures.length > 0 ? within.failures : [result];
  const own = { name: result.name, outcome: outcomeOf(result), details };
  if (within.tests.length === 0) return [own];
  const tests = within.tests.map((test) => ({ ...test, name: `${result.name} > ${test.name}` }));
  // It failed beside the tests it holds: between them, or by a plan or an exit code that is wrong.
  const failedBeside = within.failures.length > 0 || tests.every(({ outcome }) => outcome !== 'failed');
  return own.outcome === 'failed' && failedBeside ? [...tests, own] : tests;
}

/** @param {TestResult[]} results @returns {Promise<string>} what failed and why, for a reader without a terminal */
export async function describeFailures(results) {
  const { Parser } = await import('tap-parser');
  return results
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name, details }) => `\n✗ ${name}\n${Parser.stringify(details.map((result) => ['assert', result]))}`)
    .join('');
}

/** @param {TestResult[]} results @returns {string} */
export function summary(results) {
  /** @param {TestResult['outcome']} wanted */
  const count = (wanted) => results.filter(({ outcome }) => outcome === wanted).length;
  const skipped = count('skipped');
  return `${count('passed')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
