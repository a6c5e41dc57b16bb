import { readFileSync } from 'node:fs';

/** Whether a process has not ended; who reaps it, and when, is not asked. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\s*[ZX]/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
  } catch {
    return false;
  }
}
