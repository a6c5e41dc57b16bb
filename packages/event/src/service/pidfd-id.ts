import { fileSystemType, PIDFS_MAGIC, pidfdOpen, statx } from '@sdrx/linux';

/**
 * The number that names this process, and no other until the next boot: the inode of its pidfd. Undefined on kernels before
 * 6.9, where all pidfds have the same. pidfd_open(2)
 */
export function ownPidfdId(): bigint | undefined {
  using pidfd = pidfdOpen(process.pid);
  return fileSystemType(pidfd.number) === PIDFS_MAGIC ? statx(pidfd.number).inode : undefined;
}
