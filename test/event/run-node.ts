import type { SpawnOptions } from '@sdrx/linux';
import { programPath } from '../support/program-path.js';
import { type ProgramResult, runProgram } from '../support/run-program.js';

/** The environment without what the test runner adds for the programs that tests start, which slows them down. */
export const plainEnvironment: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: undefined };

/** Runs a program of `programs/`, by its name, on this Node to its end, blocking. */
export function runNode(name: string, args: readonly string[] = [], options: SpawnOptions = {}): ProgramResult {
  const path = programPath(`./programs/${name}.js`, import.meta.url);
  return runProgram(process.execPath, [path, ...args], { env: plainEnvironment, ...options });
}
