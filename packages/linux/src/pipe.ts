import { Fd } from './fd.js';
import { allocate, libc } from './libc.js';
import { check } from './system-error.js';

const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

const pipe2 = libc<(fds: Uint8Array, flags: number) => number>('int pipe2(void *, int)');

/** The reading and the writing end of a pipe, close-on-exec and non-blocking. pipe(2). */
export function pipe(): [Fd, Fd] {
  const fds = allocate(8);
  check(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 'pipe2');
  return [new Fd(fds.readInt32LE(0)), new Fd(fds.readInt32LE(4))];
}
