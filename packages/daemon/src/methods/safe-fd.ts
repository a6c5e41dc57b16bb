import { ELOOP, ENOTDIR, EREMOTEIO, O_ACCMODE, O_LARGEFILE, O_NOFOLLOW, statusFlags, statx } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';

const SAFE_FLAGS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE;

/**
 * Checks that a client's fd was opened in a plain way: not with O_PATH and the like, by which one could pass what one may
 * not open.
 * @param more flags that may be set all the same
 * Throws EREMOTEIO as `io.systemd.System`, which is systemd's answer, too.
 */
export function requireSafeFlags(fd: number, more = 0): void {
  if ((statusFlags(fd) & ~(SAFE_FLAGS | more)) !== 0) throw systemFailure(EREMOTEIO);
}

/**
 * Checks that a client's fd is of a directory; never blocks. Throws ENOTDIR, for a symbolic link ELOOP, as `io.systemd.System`;
 * EACCES if it is not for us to see.
 */
export function requireDirectory(fd: number): void {
  const { isDirectory, isSymbolicLink } = statx(fd);
  if (isSymbolicLink) throw systemFailure(ELOOP);
  if (!isDirectory) throw systemFailure(ENOTDIR);
}
