import { UsageError } from '../program/usage-error.js';
import type { Command } from './command.js';
import { parseOrHelp } from './parse-or-help.js';
import { RUN } from './run-options.js';

/** `nsresourcectl run`, as far as there is no command: with one the shell part of nsresourcectl does it. */
export const run: Command = {
  name: 'run',
  summary: 'Runs a command in a user namespace with 65,536 ids',
  options: ['--name=', '--size=', '--map=', '--network', '--runtime-directory='],
  run(args) {
    requireShellPart(args);
    if (parseOrHelp(RUN, args, [0, Number.POSITIVE_INFINITY]) === undefined) return 0;
    throw new UsageError('there is no command: nsresourcectl run -- COMMAND');
  },
};

/** @throws UsageError if a command was given all the same */
export function requireShellPart(args: readonly string[]): void {
  if (args.includes('--'))
    throw new UsageError('with a command, nsresourcectl must be started as a program of its own, not by node');
}
