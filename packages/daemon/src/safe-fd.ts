import { fstatSync } from 'node:fs';
import { ELOOP, ENOTDIR, EREMOTEIO, O_ACCMODE, O_LARGEFILE, O_NOFOLLOW, statusFlags } from '@sdrx/linux';
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

/** Checks that a client's fd is of a directory. Throws ENOTDIR, for a symbolic link ELOOP, as `io.systemd.System`. */
export function requireDirectory(fd: number): void {
  const status = fstatSync(fd);
  if (status.isSymbolicLink()) throw systemFailure(ELOOP);
  if (!status.isDirectory()) throw systemFailure(ENOTDIR);
}
