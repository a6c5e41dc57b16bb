import { EnvironmentError } from '@sdrx/event';
import type { Log } from './log.js';
import { UsageError } from './usage-error.js';

/** Exit status of a program that was called wrongly. */
const EXIT_USAGE = 2;

/** Runs a program's main function; what it fails with becomes one line in the log and an exit status. */
export async function runProgram(log: Log, main: () => Promise<number> | number): Promise<void> {
  try {
    process.exitCode = await main();
  } catch (error) {
    const usage = error instanceof UsageError || error instanceof EnvironmentError;
    log.error(error instanceof Error ? error.message : String(error));
    process.exitCode = usage ? EXIT_USAGE : 1;
  }
}
