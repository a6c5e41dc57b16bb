import { readdirSync, readlinkSync } from 'node:fs';

/** What a process has open: by the number of the descriptor, what it stands for. */
export function processFds(pid: number): Map<number, string> {
  const directory = `/proc/${pid}/fd`;
  return new Map(readdirSync(directory).map((fd) => [Number(fd), readlinkSync(`${directory}/${fd}`)]));
}
