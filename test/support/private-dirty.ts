import { readFileSync } from 'node:fs';

/** How much memory a process has to itself, in kilobytes. proc_pid_smaps(5) */
export function privateDirty(pid: number): number {
  const [, size] = /^Private_Dirty:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'ascii')) ?? [];
  if (size === undefined) throw new Error(`no Private_Dirty of process ${pid}`);
  return Number(size);
}
