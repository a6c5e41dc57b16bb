import { readdirSync, readFileSync } from 'node:fs';

/** The ids of a process's children. */
export function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((tid) =>
    readFileSync(`/proc/${pid}/task/${tid}/children`, 'ascii').split(' ').filter(Boolean).map(Number),
  );
}

/**
 * Memory that is a process's own, in kilobytes: pages that it has written and shares with no other process, swapped out
 * or not. Clean private pages do not count: they are parts of files, which the kernel can drop at any time, and of
 * whose program there is one copy in memory as soon as two processes run it. proc_pid_smaps(5)
 */
export function privateMemory(pid: number): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'ascii');
  const field = (name: string) => Number(new RegExp(`^${name}: *(\\d+) kB$`, 'm').exec(text)?.[1] ?? Number.NaN);
  return field('Private_Dirty') + field('Swap');
}

/** Processor time of processes so far, in seconds, with that of their children that ended. proc_pid_stat(5) */
export function processorTime(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + ticks(pid), 0) / TICKS_A_SECOND;
}

/** sysconf(3) _SC_CLK_TCK, which is the same on every architecture that Node runs on. */
const TICKS_A_SECOND = 100;

function ticks(pid: number): number {
  const text = readStat(pid);
  // The name, in parentheses, may hold anything; of what follows it, utime to cstime are the 12th to 15th.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0);
}

/** Of a process that ends just now, what it used counts as its parent's. */
function readStat(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1');
  } catch {
    return '';
  }
}
