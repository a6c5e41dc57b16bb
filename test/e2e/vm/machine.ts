import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';

/** The virtual machine that this runs in; empty on any other machine. */
const machine = process.env.SDRX_VM ?? '';

/** Whether it is slow, as nothing in a container of a machine's system is. */
export const isEmulated = process.env.SDRX_CONTAINER === undefined;

/** Whether the test was asked for by a part of its path. */
export const isNamed = process.env.SDRX_NAMED === '1';

/** Options for a test that changes the system it runs on, and needs one that lets BPF programs be attached. */
export const needsVirtualMachine =
  machine === '' ? { skip: 'only for a virtual machine of its own: npm run test:vm runs it there' } : {};

/** A user of the machine, beside root. */
export const ALICE = 1000;

/** Runs a program that must succeed, and returns what it writes. */
export function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8' });
}

export interface Outcome {
  readonly status: number | null;
  /** Standard output and standard error. */
  readonly output: string;
}

/** Runs a program that may fail. */
export function attempt(program: string, ...args: readonly string[]): Outcome {
  const { status, output, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (error !== undefined) throw error;
  return { status, output: output.join('') };
}

/** The same, while other things go on. */
export async function attemptBeside(program: string, ...args: readonly string[]): Promise<Outcome> {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  const texts = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray());
  const [status] = await once(child, 'close');
  return { status, output: (await Promise.all(texts)).flat().join('') };
}

/** `attempt` as another user, in a session of its own with its own service manager. */
export function attemptAs(uid: number, program: string, ...args: readonly string[]): Outcome {
  const user = [`--reuid=${uid}`, `--regid=${uid}`, '--init-groups', '--reset-env'];
  const env = [`XDG_RUNTIME_DIR=/run/user/${uid}`, `PATH=${process.env.PATH}`];
  return attempt('setpriv', ...user, 'env', ...env, program, ...args);
}
