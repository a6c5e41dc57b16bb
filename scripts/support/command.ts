import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdirSync, openSync, statSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { root } from './root.js';
import { say } from './say.js';
import { UserError } from './user-error.js';

/** Whether it has been said where the log is. */
let isLogKnown = false;

type Environment = Readonly<Record<string, string>>;

/** Where all goes that programs write which set something up: nobody needs it unless one fails. run.js has it, too. */
export const setUpLog = 'node_modules/.cache/sdrx/set-up.log';

/** From which length on the log begins anew, in bytes. */
const LONGEST_LOG = 2_000_000;

/** How many of the last lines are shown of a program that failed. */
const SHOWN_LINES = 30;

/**
 * Runs a program to its end in the repository's top folder, its output on our standard error.
 *
 * @param env added to our environment
 * @throws {UserError} that names the command line, if it cannot start or fails
 */
export function command(program: string, args: readonly string[], env: Environment = {}): void {
  const { status, signal, error } = spawnSync(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 2, 2],
  });
  if (status === 0) return;
  const cause = error?.message ?? ending(status, signal);
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

/**
 * Runs a program that sets something up, while other things go on. What it writes goes to the log.
 *
 * @param env added to our environment
 * @throws {UserError} that has the command line and the last lines that it wrote, if it cannot start or fails
 */
export async function logged(program: string, args: readonly string[], env: Environment = {}): Promise<void> {
  const path = `${root}/${setUpLog}`;
  mkdirSync(dirname(path), { recursive: true });
  if (!isLogKnown) say(`what programs say that set something up is in ${setUpLog}`);
  isLogKnown = true;
  const log = openSync(path, isLong(path) ? 'w' : 'a');
  const line = [program, ...args].join(' ');
  writeSync(log, `\n$ ${line}\n`);
  let last = '';
  const child = spawn(program, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      writeSync(log, text);
      last = (last + text).split('\n').slice(-SHOWN_LINES).join('\n');
    });
  }
  let cause: string | undefined;
  try {
    const [status, signal] = await once(child, 'close');
    if (status !== 0) cause = ending(status, signal);
  } catch (error) {
    cause = error instanceof Error ? error.message : String(error);
  } finally {
    closeSync(log);
  }
  if (cause !== undefined) throw new UserError(`${line}: ${cause}\n${last.trimEnd()}\nAll of it: ${path}`);
}

function isLong(path: string): boolean {
  return existsSync(path) && statSync(path).size > LONGEST_LOG;
}

function ending(status: number | null, signal: string | null): string {
  return signal === null ? `exit code ${status}` : `killed by ${signal}`;
}
