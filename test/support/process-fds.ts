import { readdirSync, readlinkSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';

/** What a process has open: by the number of the descriptor, what it stands for. One that is closed meanwhile is left out. */
export function processFds(pid: number): Map<number, string> {
  const directory = `/proc/${pid}/fd`;
  const open = new Map<number, string>();
  for (const fd of readdirSync(directory)) {
    try {
      open.set(Number(fd), readlinkSync(`${directory}/${fd}`));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
    }
  }
  return open;
}
