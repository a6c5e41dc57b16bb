#!/usr/bin/env node
import { parseArgs } from 'node:util';
import { askService, ControlError } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';

const HELP = `Usage: sdrx-control PATH COMMAND

Tells a service at its control socket what to do, waits until that is done, and prints what has come of it.
PATH is the socket's, or a name behind @.

  restart    Start it anew without losing a connection; fails when the new process has not taken over
  stop       Have it end, as SIGTERM does; its connections may go on for a while
  status     Tell which process it is

  -h, --help    Show this text

Exit status: 0 if it is done, 1 if the service has not done it, 2 for a wrong command line,
3 if there is no service.
`;

const COMMANDS = ['restart', 'stop', 'status'];
const REFUSED = 1;
const USAGE = 2;
const NO_SERVICE = 3;

class UsageError extends Error {}

/** @returns path and command, or undefined if help is wanted. @throws UsageError */
function readCommandLine(): readonly [string, string] | undefined {
  const { values, positionals } = parse();
  if (values.help === true) return undefined;
  const [path, command, ...others] = positionals;
  if (path === undefined || path === '' || command === undefined || others.length > 0)
    throw new UsageError('a path and a command must be given');
  if (!COMMANDS.includes(command))
    throw new UsageError(`the command must be ${COMMANDS.join(' or ')}, not '${command}'`);
  return [path, command];
}

function parse() {
  try {
    return parseArgs({ allowPositionals: true, options: { help: { type: 'boolean', short: 'h' } } });
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

function statusOf(error: unknown): number {
  if (error instanceof UsageError) return USAGE;
  const isThere = error instanceof ControlError || !isSystemError(error, 'ENOENT', 'ENOTDIR', 'ECONNREFUSED');
  return isThere ? REFUSED : NO_SERVICE;
}

try {
  const given = readCommandLine();
  process.stdout.write(given === undefined ? HELP : `${await askService(...given)}\n`);
} catch (error) {
  const hint = error instanceof UsageError ? '; see --help' : '';
  process.stderr.write(`sdrx-control: ${(error as Error).message}${hint}\n`);
  process.exitCode = statusOf(error);
}
