// Subscribes to memory pressure and prints which file it found to watch, or the error's code.
import { readdirSync, readlinkSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';

function openFiles(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`)];
    } catch {
      return []; // the one that listed the folder
    }
  });
}

using loop = new EventLoop();
let failure: unknown;
loop.memoryPressure().subscribe({
  error: (error) => {
    failure = error;
  },
});
if (failure !== undefined && !isSystemError(failure)) throw failure;
process.stdout.write(String(failure?.code ?? openFiles().find((path) => path.includes('pressure'))));
