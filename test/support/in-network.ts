import { openSync } from 'node:fs';
import { CLONE_NEWNET, Fd, libc } from '@sdrx/linux';

const setns = libc<(fd: number, type: number) => number>('int setns(int, int)');

/** Runs `body` in the network namespace that `fd` is a descriptor of. Only this thread goes there, and it comes back. */
export function inNetwork<T>(fd: number, body: () => T): T {
  using own = new Fd(openSync('/proc/thread-self/ns/net', 'r'));
  enter(fd);
  try {
    return body();
  } finally {
    enter(own.number);
  }
}

function enter(fd: number): void {
  if (setns(fd, CLONE_NEWNET) !== 0) throw new Error('setns failed');
}
