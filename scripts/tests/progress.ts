import type { Duration } from './durations.js';
import type { TestResult } from './results.js';

/** Something that runs tests: a file on one Node, a machine. */
export interface TestRun {
  /** By which its duration is known; undefined if it is not the whole of something. */
  readonly key: string | undefined;
  /** What it is to a reader. */
  readonly name: string;
  /** Machines run beside files. */
  readonly kind: 'file' | 'machine';
}

/** How far a run is. */
export interface Progress {
  readonly expected: Duration;
  /** When it began, in milliseconds; undefined before. */
  start: number | undefined;
  /** How long it took, in seconds; undefined before its end. */
  seconds: number | undefined;
  results: readonly TestResult[];
}

/** How many seconds are taken to have gone as expected before the first one has. */
const TRUST = 60;

/**
 * How far all runs are, such as `412 of 7,228 tests, about 14 min left`.
 *
 * @param jobs how many files are run at a time
 * @param now in milliseconds, by the clock of `Progress.start`
 */
export function progressText(runs: ReadonlyMap<TestRun, Progress>, jobs: number, now: number): string {
  let done = 0;
  let all = 0;
  let took = TRUST;
  let expected = TRUST;
  for (const progress of runs.values()) {
    const { seconds, results } = progress;
    const [wanted, tests] = progress.expected;
    done += results.length;
    all += seconds === undefined ? Math.max(tests, results.length) : results.length;
    // One that goes on for longer than it should tells of the machine already.
    const passed = elapsed(progress, now);
    if (seconds === undefined && passed <= wanted) continue;
    took += passed;
    expected += wanted;
  }
  const left = (kind: TestRun['kind']) =>
    [...runs]
      .filter(([run, { seconds }]) => run.kind === kind && seconds === undefined)
      .reduce((sum, [, own]) => sum + Math.max(0, (own.expected[0] * took) / expected - elapsed(own, now)), 0);
  const minutes = Math.round(Math.max(left('file') / jobs, left('machine')) / 60);
  const time = minutes === 0 ? 'less than a minute' : `about ${minutes} min`;
  return `${done.toLocaleString('en')} of ${all.toLocaleString('en')} tests, ${time} left`;
}

/** For how many seconds it has been running, or did. */
function elapsed({ start, seconds }: Progress, now: number): number {
  return seconds ?? (start === undefined ? 0 : (now - start) / 1000);
}
