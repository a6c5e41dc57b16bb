import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { programPath } from './program-path.js';
import { runProgram } from './run-program.js';

/** The built program. */
export const nsresourcectl = programPath('../../../packages/daemon/bin/nsresourcectl', import.meta.url);

/** What runs a program as another user. */
export function asUser(uid: number): string[] {
  return ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];
}

export interface ControlResult {
  readonly output: string;
  readonly errors: string;
  /** Its exit status, as a shell tells it: 128 and the number for a signal. */
  readonly status: number;
}

let runs = 0;

/**
 * Runs it to its end.
 * @param through a program with arguments that runs it: another user, say
 */
export function control(
  { runtimeDirectory }: { readonly runtimeDirectory: string },
  args: readonly string[],
  through: readonly string[] = [],
): ControlResult {
  const path = join(tmpdir(), `sdrx-errors-${process.pid}-${runs++}`);
  writeFileSync(path, '');
  chmodSync(path, 0o666);
  try {
    const script = `exec 2>'${path}' "$@"`;
    const command = [...through, nsresourcectl, `--runtime-directory=${runtimeDirectory}`, ...args];
    const { output, exit } = runProgram('sh', ['-c', script, 'sh', ...command], { cwd: '/' });
    const status = exit.code === 'exited' ? exit.status : 128 + exit.status;
    return { output, errors: readFileSync(path, 'utf8'), status };
  } finally {
    rmSync(path);
  }
}
