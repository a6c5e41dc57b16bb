import { checkFd, checkInteger } from '../arguments.js';
import { EINTR } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { libc } from '../ffi/libc.js';

const posixFallocate = libc<(fd: number, offset: number, size: number) => number>(
  'int posix_fallocate(int, long, long)',
);

/**
 * Makes sure that a part of a file has its place on the file system, and grows the file to hold it: to write there, by a memory
 * mapping too, can't fail for want of space from then on. What was there stays. posix_fallocate(3).
 * @throws ENOSPC, EFBIG, EINVAL, EBADF, EIO
 */
export function reserveSpace(fd: number, offset: number, size: number): void {
  checkFd(fd);
  checkInteger('offset', offset);
  checkInteger('size', size);
  let error = EINTR;
  while (error === EINTR) error = posixFallocate(fd, offset, size);
  if (error !== 0) throw new SystemError(error, 'posix_fallocate', String(fd));
}
