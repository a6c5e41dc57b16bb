import { checkFd, checkInteger } from '../arguments.js';
import { EACCES, EAGAIN } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';

const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;
const FLOCK_SIZE = 32;

const fcntl = libc<(fd: number, command: number, lock: Uint8Array) => number>('int fcntl(int, int, void *)');

/**
 * Takes the lock of one byte of an open file, which need not have that byte, unless another open file has it. The locks of
 * flock(2) are others. fcntl(2) F_OFD_SETLK.
 * @returns whether it was free, or this open file's already
 * @throws EBADF for a file that is not open for writing, ENOLCK
 */
export function tryLockByte(fd: number, offset: number): boolean {
  checkFd(fd);
  checkInteger('offset', offset, 0);
  return setLock(fd, F_WRLCK, offset);
}

/** Gives the lock of a byte back; harmless without one. @throws EBADF */
export function unlockByte(fd: number, offset: number): void {
  checkFd(fd);
  checkInteger('offset', offset, 0);
  setLock(fd, F_UNLCK, offset);
}

/** struct flock: type, whence (from the begin), padding, start, length, pid. */
function setLock(fd: number, type: number, offset: number): boolean {
  const lock = Buffer.alloc(FLOCK_SIZE);
  lock.writeInt16LE(type, 0);
  lock.writeBigInt64LE(BigInt(offset), 8);
  lock.writeBigInt64LE(1n, 16);
  if (fcntl(fd, F_OFD_SETLK, lock) === 0) return true;
  const error = errno();
  if (error === EAGAIN || error === EACCES) return false;
  throw new SystemError(error, 'fcntl', String(fd));
}
