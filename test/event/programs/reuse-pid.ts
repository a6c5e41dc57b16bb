// In a PID namespace of its own: lets a child take the id of another one whose end a loop has told, at the moment that the
// argument names, and prints how the second one is found afterwards.
import { writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { type ChildProcess, isSystemError, spawn, WEXITED, WNOWAIT, waitPidfd } from '@sdrx/linux';

const [, , moment = ''] = process.argv;
const loop = new EventLoop();
const first = spawn('sh', { args: ['-c', 'exit 1'] });
let second: ChildProcess | undefined;

/** Starts a child with the id of the first, which must have been reaped, and waits until it has ended. */
function succeed(): void {
  while (second?.pid !== first.pid) {
    if (second !== undefined) waitPidfd(second.pidfd.number, WEXITED);
    writeFileSync('/proc/sys/kernel/ns_last_pid', String(first.pid - 1));
    second = spawn('sh', { args: ['-c', 'exit 2'] });
  }
  waitPidfd(second.pidfd.number, WEXITED | WNOWAIT);
}

loop.child(first, { own: moment !== 'handler' }).subscribe({
  next: () => {
    if (moment === 'completion') first[Symbol.dispose]();
    if (moment !== 'handler') return;
    waitPidfd(first.pidfd.number, WEXITED);
    succeed();
  },
  complete: () => {
    if (moment === 'completion') succeed();
    loop.defer().subscribe(() => loop.exit());
  },
});
await loop.run();
process.stdout.write(`${outcome()}`);

function outcome(): string {
  try {
    return String(second === undefined ? 'none' : waitPidfd(second.pidfd.number, WEXITED)?.status);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return String(error.code);
  }
}
