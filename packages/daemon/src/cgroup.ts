import { closeSync, openSync, readdirSync, readlinkSync, rmdirSync } from 'node:fs';
import {
  CGROUP2_SUPER_MAGIC,
  ENOENT,
  EPERM,
  type Fd,
  fileSystemType,
  isSystemError,
  O_DIRECTORY,
  openByHandle,
  SystemError,
} from '@sdrx/linux';
import { mounts } from './mountinfo.js';

// The kind of handle that kernfs gives for its 64-bit ids, FILEID_KERNFS.
const FILEID_KERNFS = 0xfe;

/**
 * Removes a cgroup and all below it, children first; harmless if it is gone already. cgroups(7).
 * @param id the cgroup's 64-bit id, which is its directory's inode
 * Throws EBUSY, named after the cgroup's path, if processes are in it or below it; EPERM for the root cgroup and for
 * whatever is not in the mounted hierarchy; ENOTDIR if the id is a file's; ENOENT if there is no cgroup v2.
 */
export function removeCgroup(id: bigint): void {
  const mount = mounts().find(({ type, root }) => type === 'cgroup2' && root === '/')?.path;
  if (mount === undefined) throw new SystemError(ENOENT, 'open_by_handle_at', 'cgroup2');
  const path = pathOf(mount, id);
  if (path !== undefined) removeTree(path);
}

/** Where the cgroup is; undefined if it is gone. */
function pathOf(mount: string, id: bigint): string | undefined {
  const mountFd = openSync(mount, O_DIRECTORY);
  try {
    requireCgroup2(mountFd, mount);
    using cgroup = open(mountFd, id);
    if (cgroup === undefined) return undefined;
    const path = readlinkSync(`/proc/self/fd/${cgroup.number}`);
    requireCgroup2(cgroup.number, path);
    if (path.endsWith(' (deleted)')) return undefined;
    if (!path.startsWith(`${mount}/`)) throw new SystemError(EPERM, 'rmdir', path);
    return path;
  } finally {
    closeSync(mountFd);
  }
}

function open(mountFd: number, id: bigint): Fd | undefined {
  const handle = Buffer.alloc(8);
  handle.writeBigUInt64LE(id);
  try {
    return openByHandle(mountFd, FILEID_KERNFS, handle, O_DIRECTORY);
  } catch (error) {
    if (isSystemError(error, 'ESTALE')) return undefined;
    throw error;
  }
}

function requireCgroup2(fd: number, path: string): void {
  if (fileSystemType(fd) !== CGROUP2_SUPER_MAGIC) throw new SystemError(EPERM, 'rmdir', path);
}

/** A cgroup's directory counts as empty when it has no directories in it, whatever files the kernel shows there. */
function removeTree(path: string): void {
  try {
    for (const child of readdirSync(path, { withFileTypes: true })) {
      if (child.isDirectory()) removeTree(`${path}/${child.name}`);
    }
    rmdirSync(path);
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
  }
}
