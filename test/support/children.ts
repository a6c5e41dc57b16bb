import { readdirSync, readFileSync } from 'node:fs';

/** The ids of a process's children, those that ended and were not reaped included; none if it is gone. */
export function childrenOf(pid: number): number[] {
  return tasksOf(pid).flatMap((task) => {
    try {
      return readFileSync(`/proc/${pid}/task/${task}/children`, 'ascii').split(' ').filter(Boolean).map(Number);
    } catch {
      return []; // ended meanwhile
    }
  });
}

/** The ids of this process's children, those that ended and were not reaped included. */
export function children(): number[] {
  return childrenOf(process.pid);
}

/** All processes that descend from one, without itself. */
export function descendants(pid: number): number[] {
  return childrenOf(pid).flatMap((child) => [child, ...descendants(child)]);
}

function tasksOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return [];
  }
}
