import { existsSync, readFileSync } from 'node:fs';
import { isSystemError, openFile, tryLockExclusive } from '@sdrx/linux';
import { Ledger } from '../limits/ledger.js';

/**
 * The process that is the manager of a runtime directory.
 * @throws Error when there is none, or it is not for this user to know
 */
export function findManager(runtimeDirectory: string): number {
  const path = `${runtimeDirectory}/nsresource/manager`;
  try {
    using file = openFile(path);
    const [, pid] = /^(\d+)\n/.exec(readFileSync(`/proc/self/fd/${file.number}`, 'ascii')) ?? [];
    // The lock is held for as long as the manager lives. A former one's process id may be anybody's by now.
    if (pid !== undefined && !tryLockExclusive(file.number)) return Number(pid);
  } catch (error) {
    if (isSystemError(error, 'EACCES')) throw new Error(`only root may do that: ${error.message}`, { cause: error });
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
  throw new Error(`no nsresourced runs for ${runtimeDirectory}`);
}

/** The same, but undefined where there is none, or it is not for this user to know. For who only looks. */
export function readManager(runtimeDirectory: string): number | undefined {
  try {
    const [, pid] = /^(\d+)\n/.exec(readFileSync(`${runtimeDirectory}/nsresource/manager`, 'ascii')) ?? [];
    return pid !== undefined && existsSync(`/proc/${pid}`) ? Number(pid) : undefined;
  } catch (error) {
    if (isSystemError(error, 'EACCES', 'ENOENT')) return undefined;
    throw error;
  }
}

/** The manager's workers that serve. */
export function workersOf(runtimeDirectory: string, manager: number): number[] {
  using ledger = Ledger.open(runtimeDirectory, manager);
  if (ledger === undefined) return [];
  return ledger.taken.filter((slot) => ledger.condition(slot) !== 'starting').map((slot) => ledger.pid(slot));
}
