import { readFileSync } from 'node:fs';
import type { Daemon } from './daemon.js';
import { until } from './until.js';

/** The workers, once there are `count` of them, all past what starts them and up to being `program`. */
export async function workersOf(daemon: Daemon, count = 5, program = 'sleep'): Promise<number[]> {
  let workers: number[] = [];
  await until(() => {
    workers = daemon.children();
    return workers.length === count && workers.every((pid) => runs(pid, program));
  });
  return workers;
}

/** Whether a process runs a program, itself or by an interpreter; false for one that has ended. */
function runs(pid: number, program: string): boolean {
  try {
    const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    // What starts a worker has its name among the arguments, too.
    return words.slice(0, 2).some((word) => word.slice(word.lastIndexOf('/') + 1) === program);
  } catch {
    return false;
  }
}
