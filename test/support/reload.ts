import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { childrenOf } from './children.js';
import type { Daemon } from './daemon.js';
import { isRunning } from './is-running.js';
import { managerPid } from './manager-pid.js';
import { programPath } from './program-path.js';
import { untilOr } from './until.js';

const nsresourcectl = programPath('../../../packages/daemon/bin/nsresourcectl', import.meta.url);

/** How long a reload may take, in milliseconds. */
const LIMIT = 60_000;

/** Has a daemon reload, by SIGHUP. @returns the process that is the manager then */
export async function reloadBySignal(daemon: Daemon): Promise<number> {
  const before = managerPid(daemon);
  process.kill(before, 'SIGHUP');
  await untilOr(
    LIMIT,
    () => managerPid(daemon) !== before,
    () => `not reloaded:\n${daemon.log()}`,
    10,
  );
  return managerPid(daemon);
}

/** Has a daemon reload, by nsresourcectl(1). @returns its exit status, and what it has written */
export async function reloadByCommand({ runtimeDirectory }: Daemon): Promise<{ status: number; output: string }> {
  const child = spawn(process.execPath, [nsresourcectl, `--runtime-directory=${runtimeDirectory}`, 'reload'], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const texts = [child.stdout, child.stderr].map((stream) => stream.setEncoding('utf8').toArray());
  const [status] = await once(child, 'close');
  return { status, output: (await Promise.all(texts)).flat().join('') };
}

/** Waits for the end of a process of a daemon's. */
export async function ended(daemon: Daemon, pid: number): Promise<void> {
  await untilOr(
    LIMIT,
    () => !isRunning(pid),
    () => `process ${pid} lives on:\n${daemon.log()}`,
    10,
  );
}

/** The daemon as the process that is its manager now. */
export function asReloaded(daemon: Daemon): Daemon {
  const pid = managerPid(daemon);
  return { ...daemon, pid, children: () => childrenOf(pid) };
}
