import { checkFd } from '../arguments.js';
import { isSystemError } from '../error/system-error.js';
import { CGROUP2_SUPER_MAGIC, fileSystemType, NSFS_MAGIC } from '../file/file-system-type.js';
import { openFile } from '../file/open-file.js';
import { readKernelFile } from '../file/read-kernel-file.js';
import { type Statx, statx } from '../file/statx.js';

/*
 * What kind of file a descriptor of somebody else's is, learnt by what can't block. Of any other kind fstat(2), fstatfs(2),
 * ioctl(2) and close(2) may wait for ever: for the server of a file system (FUSE), also through an overlayfs(5) above it.
 *
 * A kind is known by its file system's device. None can show another's: an overlay has a device of its own for its directories,
 * and of files that which their layer has, but namespaces can't be a layer.
 */

/** The device of nsfs, once it was needed; there is one. */
let namespaces: string | undefined;

/** Whether `fd` stands for a namespace, also one opened with O_PATH. namespaces(7). Never blocks. @throws EBADF */
export function isNamespace(fd: number): boolean {
  checkFd(fd);
  namespaces ??= deviceOfNamespaces();
  return look(fd)?.device === namespaces;
}

/**
 * Whether `fd` stands for a cgroup: a directory of cgroups(7) version 2, mounted where we are. Never blocks.
 * @throws EBADF
 */
export function isCgroup(fd: number): boolean {
  checkFd(fd);
  const found = look(fd);
  if (found?.isDirectory !== true || !cgroup2Devices().includes(found.device)) return false;
  // Known to answer by now. Another file system may have the device of one that was unmounted meanwhile.
  return fileSystemType(fd) === CGROUP2_SUPER_MAGIC;
}

function deviceOfNamespaces(): string {
  using own = openFile('/proc/self/ns/user');
  if (fileSystemType(own.number) !== NSFS_MAGIC) throw new Error('/proc/self/ns/user is no namespace');
  return statx(own.number).device;
}

/** Undefined if it is not for us to see, which neither a namespace nor a cgroup is. */
function look(fd: number): Statx | undefined {
  try {
    return statx(fd);
  } catch (error) {
    if (isSystemError(error, 'EBADF')) throw error;
    return undefined;
  }
}

/** As /proc/self/mountinfo has them: before the dash id, parent and device, after it the file system's type. */
function cgroup2Devices(): string[] {
  return readKernelFile('/proc/self/mountinfo')
    .split('\n')
    .filter((line) => / - cgroup2 /.test(line))
    .flatMap((line) => line.split(' ')[2] ?? []);
}
