import { accessSync, constants, statSync } from 'node:fs';
import { EACCES, EBADF, ENOTDIR } from './errno.js';
import { isOpen } from './fd.js';
import { isSystemError, SystemError } from './system-error.js';

/** What a child was to be given, beside its program. */
export interface ChildPlan {
  readonly file: string;
  readonly cwd: string | undefined;
  /** Descriptors of ours that it was to get copies of. */
  readonly sources: readonly number[];
}

/**
 * The error for a child that did not start. posix_spawn(3) has one number for everything that the child did before it was
 * the program: so it is looked up here, afterwards, which of that can't have worked.
 */
export function spawnFailure(errno: number, { file, cwd, sources }: ChildPlan): SystemError {
  const closed = errno === EBADF ? sources.find((fd) => !isOpen(fd)) : undefined;
  if (closed !== undefined) return new SystemError(EBADF, 'dup2', String(closed));
  const unusable = cwd === undefined ? undefined : whyNoDirectory(cwd);
  if (cwd !== undefined && unusable === -errno) return new SystemError(errno, 'chdir', cwd);
  return new SystemError(errno, 'posix_spawn', file);
}

/** The number of the error with which chdir(2) fails, negated; undefined if it does not. */
function whyNoDirectory(path: string): number | undefined {
  try {
    if (!statSync(path).isDirectory()) return -ENOTDIR;
    accessSync(path, constants.X_OK);
    return undefined;
  } catch (error) {
    return isSystemError(error) ? error.errno : -EACCES;
  }
}
