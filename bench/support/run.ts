import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const execute = promisify(execFile);

/** Runs a program to its end. Rejects, with what it wrote to standard error, if it fails. @returns its output */
export async function run([file = '', ...args]: readonly string[]): Promise<string> {
  const { stdout } = await execute(file, args, { maxBuffer: 64 * 1024 * 1024 });
  return stdout;
}
