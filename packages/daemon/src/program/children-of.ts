import { readdirSync } from 'node:fs';
import { isSystemError, readKernelFile } from '@sdrx/linux';

/** The child processes of a process, of all its threads; none where the kernel was built without that. proc_pid_task(5) */
export function childrenOf(pid: number | 'self'): number[] {
  const tasks = `/proc/${pid}/task`;
  return readdirSync(tasks).flatMap((tid) => {
    try {
      return readKernelFile(`${tasks}/${tid}/children`).split(' ').filter(Boolean).map(Number);
    } catch (error) {
      // A thread that has ended has none.
      if (isSystemError(error, 'ENOENT', 'ESRCH')) return [];
      throw error;
    }
  });
}
