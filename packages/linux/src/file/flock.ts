import { checkFd } from '../arguments.js';
import { EINTR, EWOULDBLOCK } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';

const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;

const flockCall = libc<(fd: number, operation: number) => number>('int flock(int, int)');

/**
 * Takes the exclusive lock of an open file, waiting for it; a lock goes with the open file, also when its process is killed.
 * flock(2).
 * @throws EBADF, ENOLCK
 */
export function lockExclusive(fd: number): void {
  checkFd(fd);
  if (!flock(fd, LOCK_EX)) throw new SystemError(EWOULDBLOCK, 'flock', String(fd));
}

/** Takes the exclusive lock unless another open file holds it. flock(2). @throws EBADF, ENOLCK */
export function tryLockExclusive(fd: number): boolean {
  checkFd(fd);
  return flock(fd, LOCK_EX | LOCK_NB);
}

/** Gives the lock back; harmless without one. flock(2). @throws EBADF */
export function unlock(fd: number): void {
  checkFd(fd);
  flock(fd, LOCK_UN);
}

function flock(fd: number, operation: number): boolean {
  for (;;) {
    if (flockCall(fd, operation) === 0) return true;
    const error = errno();
    if (error === EWOULDBLOCK) return false;
    if (error !== EINTR) throw new SystemError(error, 'flock', String(fd));
  }
}
