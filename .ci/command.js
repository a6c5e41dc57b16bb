import { spawnSync } from 'node:child_process';
import { UserError } from './main.js';
import { root } from './root.js';

/**
 * Runs a program to its end in the repository's top folder, its output on our standard error.
 * Throws a `UserError` that names the command line if it cannot start or fails.
 *
 * @param {string} program
 * @param {string[]} args
 * @param {Record<string, string>} [env] added to our environment
 */
export function command(program, args, env = {}) {
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
 * @param {string} script path below the top folder
 * @param {string[]} args
 */
export function script(script, args) {
  command(process.execPath, [`${root}/${script}`, ...args]);
}
