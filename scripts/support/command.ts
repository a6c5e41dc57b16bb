import { spawnSync } from 'node:child_process';
import { root } from './root.js';
import { UserError } from './user-error.js';

/**
 * Runs a program to its end in the repository's top folder, its output on our standard error.
 *
 * @param env added to our environment
 * @throws {UserError} that names the command line, if it cannot start or fails
 */
export function command(program: string, args: readonly string[], env: Readonly<Record<string, string>> = {}): void {
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  const cause = error?.message ?? (signal ? `killed by ${signal}` : `exit code ${status}`);
  throw new UserError(`${[program, ...args].join(' ')}: ${cause}`);
}

/**
 * The same for a program that is JavaScript, on the Node that runs us.
 *
 * @param program path below the top folder
 */
export function javaScript(program: string, args: readonly string[]): void {
  command(process.execPath, [`${root}/${program}`, ...args]);
}
