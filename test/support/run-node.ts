import { type ProgramResult, runProgram } from './run-program.js';

/**
 * Runs a compiled program of ours to its end, blocking.
 * @param args the program's path and its arguments, after options of Node
 * @param wrapper a command that runs the command given to it, with its arguments
 */
export function runNode(args: readonly string[], wrapper: readonly string[] = []): ProgramResult {
  const [file = '', ...rest] = [...wrapper, process.execPath, ...args];
  return runProgram(file, rest);
}
