import { readFileSync } from 'node:fs';

/** Whether a process has not ended; who reaps it, and when, is not asked. */
export function isRunning(pid: number): boolean {
  return !/^[ZX]?$/.test(stateOf(pid));
}

/** Whether a signal has stopped a process. */
export function isStopped(pid: number): boolean {
  return stateOf(pid) === 'T';
}

/** Its letter, as proc_pid_status(5) has it; empty where there is no such process. */
function stateOf(pid: number): string {
  try {
    return /^State:\s*(\w)/m.exec(readFileSync(`/proc/${pid}/status`, 'ascii'))?.[1] ?? '';
  } catch {
    return '';
  }
}
