import { existsSync } from 'node:fs';
import { Ledger } from '@sdrx/daemon';
import type { Test } from 'tap';
import { type Daemon, startDaemon } from './daemon.js';
import { until } from './until.js';
import { workersOf } from './workers.js';

/** A daemon whose five workers have begun to give signs of life. */
export async function startWithSigns(
  t: Test,
  args: readonly string[] = [],
): Promise<{ readonly daemon: Daemon; readonly workers: readonly number[] }> {
  const daemon = await startDaemon(t, { args, env: { SYSTEMD_LOG_LEVEL: 'debug' } });
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
  await until(() => [0, 1, 2, 3, 4].every((slot) => ledger?.condition(slot) === 'serving' && ledger.beat(slot) !== 0));
  return { daemon, workers };
}

/** Stops processes, which at the latest go on when the test has ended. */
export function stopProcesses(t: Test, pids: readonly number[]): void {
  t.teardown(() => signalAll(pids, 'SIGCONT'));
  signalAll(pids, 'SIGSTOP');
}

export function signalAll(pids: readonly number[], which: NodeJS.Signals): void {
  for (const pid of pids) if (existsSync(`/proc/${pid}`)) process.kill(pid, which);
}
