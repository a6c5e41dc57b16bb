import type { Report } from './report.js';
import { type FileRun, type RunFileOptions, runFile } from './run-file.js';

export interface RunFilesOptions extends RunFileOptions {
  /** How many at a time. */
  readonly jobs: number;
}

/** Runs test files in their order, several at a time. */
export async function runFiles(
  runs: readonly FileRun[],
  { jobs, ...options }: RunFilesOptions,
  report: Report,
): Promise<void> {
  const next = runs.values();
  const lane = async () => {
    for (const run of next) {
      report.start(run);
      report.end(run, await runFile(run, options));
    }
  };
  await Promise.all(Array.from({ length: jobs }, lane));
}
