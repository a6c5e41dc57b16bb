import { runNode } from './run-node.js';

/** Runs a compiled program of ours in a process that can have `fds` descriptors; what it printed, as JSON. */
export function runWithLimit(fds: number, program: string, ...args: readonly string[]): unknown {
  const { output, exit } = runNode([program, ...args], ['prlimit', `--nofile=${fds}`]);
  if (exit.code !== 'exited' || exit.status !== 0) throw new Error(`${program}: ${exit.code} ${exit.status} ${output}`);
  return JSON.parse(output);
}
