import { checkFd } from '../arguments.js';
import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';

/** File systems as `fileSystemType` tells them. statfs(2) */
export const PROC_SUPER_MAGIC = 0x9fa0;
/** That of cgroups(7) version 2. */
export const CGROUP2_SUPER_MAGIC = 0x63677270;
/** That of namespaces(7). */
export const NSFS_MAGIC = 0x6e736673;
/** That of pidfds, since Linux 6.9. */
export const PIDFS_MAGIC = 0x50494446;

const fstatfs = libc<(fd: number, buffer: Uint8Array) => number>('int fstatfs(int, void *)');

const statfs = allocate(256);

/** The magic number of the file system that `fd` is on. statfs(2). @throws EBADF */
export function fileSystemType(fd: number): number {
  checkFd(fd);
  check(fstatfs(fd, statfs), 'fstatfs', fd);
  return statfs.readUInt32LE(0);
}
