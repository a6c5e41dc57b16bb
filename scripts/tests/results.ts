import { type EventLog, Parser, type Result } from 'tap-parser';

export interface TestResult {
  /** With the names of its file and of the tests around it. */
  readonly name: string;
  readonly outcome: 'passed' | 'failed' | 'skipped';
  /** Of a failure. */
  readonly details: readonly Result[];
}

/** What a file or a test holds. */
interface Level {
  readonly tests: TestResult[];
  /** Assertions that failed, and are no tests. */
  readonly failures: Result[];
}

/**
 * Reads what the tests of a run said. A test is each `t.test()` that holds no further one, and each assertion that
 * stands in its file outside of any. The assertions within a test are not counted: how many there are says little.
 *
 * @param tap of tap's runner, in which every file is a subtest
 */
export function readResults(tap: string): TestResult[] {
  return readLevel(Parser.parse(tap), 0).tests;
}

/**
 * Reads what a test file said that was run by itself.
 *
 * @param name of the file
 * @param tap as far as it got
 * @param failure why the file failed, whatever its tests say
 */
export function readFileResults(name: string, tap: string, failure: string | undefined): TestResult[] {
  const events = Parser.parse(tap);
  const tests = readLevel(events, 1).tests.map((test) => ({ ...test, name: `${name} > ${test.name}` }));
  if (failure !== undefined) return [...tests, failed(`${name}: ${failure}`)];
  const isGood = events.some(([kind, value]) => kind === 'complete' && value.ok);
  // Such as a plan of more tests than there were.
  if (!isGood && !hasFailed(tests)) return [...tests, failed(`${name}: its tests are not those that it planned`)];
  return tests.length > 0 ? tests : [{ name, outcome: 'skipped', details: [] }];
}

/** Whether one of them has failed. */
export function hasFailed(results: readonly TestResult[]): boolean {
  return results.some(({ outcome }) => outcome === 'failed');
}

/**
 * Reads what the tests of a machine have said so far.
 *
 * @param tap of `guest/run-tests`, in which all of them are one subtest
 * @returns the first of what `readResults` will return, without the last one that has ended
 */
export function readUnfinished(tap: string): TestResult[] {
  const [, ...rest] = tap.split('\n# Subtest: tests\n');
  const lines = rest.join('').split('\n');
  // Where a test begins, the one before is whole.
  const whole = lines.slice(
    0,
    Math.max(
      0,
      lines.findLastIndex((line) => line.startsWith('    # Subtest: ')),
    ),
  );
  const { tests } = readLevel(Parser.parse(whole.map((line) => line.slice(4)).join('\n')), 1);
  return tests.map((test) => ({ ...test, name: `tests > ${test.name}` }));
}

/** A failure that is told by its name. */
export function failed(name: string): TestResult {
  return { name, outcome: 'failed', details: [] };
}

/** @param depth 0: the runner's, 1: a test file's, 2 and more: a test's */
function readLevel(events: EventLog, depth: number): Level {
  const level: Level = { tests: [], failures: [] };
  let within: Level | undefined;
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

function outcomeOf(result: Result): TestResult['outcome'] {
  if (result.skip || result.todo) return 'skipped';
  return result.ok ? 'passed' : 'failed';
}

/** @param within what the subtest holds of which this is the result */
function testsOf(result: Result, within: Level = { tests: [], failures: [] }): TestResult[] {
  const details = within.failures.length > 0 ? within.failures : [result];
  const own: TestResult = { name: result.name, outcome: outcomeOf(result), details };
  if (within.tests.length === 0) return [own];
  const tests = within.tests.map((test) => ({ ...test, name: `${result.name} > ${test.name}` }));
  // It failed beside the tests it holds: between them, or by a plan or an exit code that is wrong.
  const failedBeside = within.failures.length > 0 || tests.every(({ outcome }) => outcome !== 'failed');
  return own.outcome === 'failed' && failedBeside ? [...tests, own] : tests;
}

/** What failed and why. */
export function describeFailures(results: readonly TestResult[]): string {
  return results
    .filter(({ outcome }) => outcome === 'failed')
    .map(({ name, details }) => `\n✗ ${name}\n${details.length > 0 ? describe(details) : ''}`)
    .join('');
}

function describe(details: readonly Result[]): string {
  return Parser.stringify(details.map((result) => ['assert', result]));
}

/** How many tests came out how, such as `12 passed, 0 failed, 1 skipped`. */
export function summary(results: readonly TestResult[]): string {
  const count = (wanted: TestResult['outcome']) => results.filter(({ outcome }) => outcome === wanted).length;
  const skipped = count('skipped');
  return `${count('passed')} passed, ${count('failed')} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
}
