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

/** Whether it was begun before it was known what it is to do. Of such a one /proc tells another environment and other arguments. */
export function isEarlyWorker(pid: number): boolean {
  return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--orders');
}

/** Whether a process is a program, itself or by Node; false for one that has ended. */
function runs(pid: number, program: string): boolean {
  try {
    const [file, ...args] = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
    // What starts a worker has the worker's name among its arguments, too.
    const names = file === process.execPath ? args : [file ?? ''];
    return names.some((name) => name.slice(name.lastIndexOf('/') + 1) === program);
  } catch {
    return false;
  }
}
