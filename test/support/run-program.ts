import { type ChildChange, read, type SpawnOptions, setNonBlocking, socketPair, spawn } from '@sdrx/linux';
import { waitForExit } from './wait-for-exit.js';

export interface ProgramResult {
  readonly output: string;
  readonly exit: ChildChange;
}

/** Runs a program to its end, blocking. Its output is read through its descriptor 1; `options.fds[1]` is of no effect. */
export function runProgram(file: string, args: readonly string[], options: SpawnOptions = {}): ProgramResult {
  const [ours, theirs] = socketPair();
  // Both ends: programs don't expect to be told to try again, and neither do we.
  setNonBlocking(ours.number, false);
  setNonBlocking(theirs.number, false);
  const { fds = [null, null, 2] } = options;
  try {
    using child = spawn(file, { ...options, args, fds: [fds[0] ?? null, theirs, ...fds.slice(2)] });
    theirs.close();
    const chunks: Buffer[] = [];
    const buffer = Buffer.alloc(65536);
    for (let count = read(ours.number, buffer); count !== undefined && count > 0; count = read(ours.number, buffer)) {
      chunks.push(Buffer.from(buffer.subarray(0, count)));
    }
    return { output: Buffer.concat(chunks).toString(), exit: waitForExit(child) };
  } finally {
    ours.close();
    theirs.close();
  }
}
