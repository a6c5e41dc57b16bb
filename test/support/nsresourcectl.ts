import { spawn } from 'node:child_process';
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

/** A run that goes on until it is ended. */
export interface OngoingControl extends Disposable {
  /** What it has written so far. */
  output(): string;
  /** Sends it a signal. @returns its exit status, null when it was killed */
  end(signal: NodeJS.Signals): Promise<number | null>;
}

/** Starts it, to go on while the test does other things. */
export function startControl(
  { runtimeDirectory }: { readonly runtimeDirectory: string },
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): OngoingControl {
  const child = spawn(nsresourcectl, [`--runtime-directory=${runtimeDirectory}`, ...args], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const ended = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  return {
    output: () => output,
    end(signal) {
      child.kill(signal);
      return ended;
    },
    [Symbol.dispose]() {
      child.kill('SIGKILL');
    },
  };
}

/** Runs it to its end on a terminal. @returns all that the terminal got */
export function onTerminal(
  { runtimeDirectory }: { readonly runtimeDirectory: string },
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): string {
  const command = [nsresourcectl, `--runtime-directory=${runtimeDirectory}`, ...args].join(' ');
  const { PATH = '' } = process.env;
  return runProgram('script', ['-qec', command, '/dev/null'], { env: { PATH, TERM: 'xterm', ...env } }).output;
}
