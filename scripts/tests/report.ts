import { say, show, showStatus } from '../support/say.js';
import { durationOf, readDurations, writeDurations } from './durations.js';
import { type Progress, progressText, type TestRun } from './progress.js';
import { describeFailures, hasFailed, summary, type TestResult } from './results.js';

/** Tells how far the tests are, which failed, and in the end what came out. */
export interface Report {
  /** Adds runs that are still to come. */
  plan(runs: readonly TestRun[]): void;
  start(run: TestRun): void;
  /** Takes all that a run has said so far. What is new of it and has failed is shown. */
  update(run: TestRun, results: readonly TestResult[]): void;
  end(run: TestRun, results: readonly TestResult[]): void;
  /** Something else went wrong. */
  fail(result: TestResult): void;
  /**
   * Shows the sum.
   *
   * @param isRecorded whether the durations are for fresh clones, too
   * @returns all results
   */
  finish(isRecorded?: boolean): readonly TestResult[];
}

/** How often it is said how far the tests are where there is no terminal, in milliseconds. */
const PAUSE = 60_000;

/** @param jobs how many files are run at a time */
export function createReport(jobs: number): Report {
  const known = readDurations();
  const runs = new Map<TestRun, Progress>();
  const others: TestResult[] = [];
  const interval = setInterval(tell, process.stderr.isTTY ? 1000 : PAUSE);

  const progress = (run: TestRun): Progress => {
    const own = runs.get(run);
    if (own !== undefined) return own;
    const added: Progress = {
      expected: durationOf(known, run),
      start: undefined,
      seconds: undefined,
      results: [],
    };
    runs.set(run, added);
    return added;
  };
  const all = () => [...[...runs.values()].flatMap(({ results }) => results), ...others];

  function tell(): void {
    const text = progressText(runs, jobs, performance.now());
    if (process.stderr.isTTY) showStatus(text);
    else say(text);
  }

  const update = (run: TestRun, results: readonly TestResult[]) => {
    const own = progress(run);
    const known = new Set(own.results.map(({ name }) => name));
    own.results = results;
    show(describeFailures(results.filter(({ name }) => !known.has(name))));
  };

  return {
    plan(added) {
      for (const run of added) progress(run);
    },
    start(run) {
      progress(run).start = performance.now();
    },
    update,
    end(run, results) {
      const own = progress(run);
      own.seconds = (performance.now() - (own.start ?? performance.now())) / 1000;
      update(run, results);
    },
    fail(result) {
      others.push(result);
      show(describeFailures([result]));
    },
    finish(isRecorded = false) {
      clearInterval(interval);
      showStatus('');
      const ended = [...runs].flatMap(([run, { seconds, results }]) =>
        seconds === undefined ? [] : [{ run, seconds, results }],
      );
      const durations = ended
        // Those of the first Node that a file was run on.
        .reverse()
        .flatMap(({ run: { key }, seconds, results }) =>
          key === undefined ? [] : [[key, [Math.round(seconds * 10) / 10, results.length]] as const],
        );
      writeDurations(Object.fromEntries(durations), isRecorded);
      const slowest = ended.sort((one, other) => other.seconds - one.seconds).slice(0, 10);
      if (slowest.length > 1)
        say(`the slowest: ${slowest.map(({ run, seconds }) => `${run.name} ${Math.round(seconds)} s`).join(', ')}`);
      const results = all();
      if (hasFailed(results)) show('\nAll that failed, once more:\n');
      process.stdout.write(`${describeFailures(results)}\n${summary(results)}\n`);
      return results;
    },
  };
}
