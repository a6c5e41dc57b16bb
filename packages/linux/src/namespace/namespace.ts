import { checkFd, checkUint32, checkUint64 } from '../arguments.js';
import { CAP_SYS_ADMIN, hasCapability } from '../credentials/capability.js';
import { EPERM } from '../error/errno.js';
import { check, isSystemError, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { isNamespace } from '../fd/descriptor-kind.js';
import { Fd } from '../fd/fd.js';
import { allocate, libc } from '../ffi/libc.js';
import { openByHandle } from '../file/file-handle.js';
import { statx } from '../file/statx.js';

/** Kinds of namespaces, as NS_GET_NSTYPE answers and clone(2) names them. */
export const CLONE_NEWUSER = 0x1000_0000;
export const CLONE_NEWNET = 0x4000_0000;

const NS_GET_USERNS = 0xb701;
const NS_GET_PARENT = 0xb702;
const NS_GET_NSTYPE = 0xb703;
const NS_GET_OWNER_UID = 0xb704;
const NS_GET_ID = 0x8008b70d;

const FD_NSFS_ROOT = -10003;
const FILEID_NSFS = 241;

const ioctl = libc<(fd: number, request: number, argument: Uint8Array | null) => number>(
  'int ioctl(int, ulong, void *)',
);

const openByIoctl = descriptorCall<(fd: number, request: number, argument: null) => number>(
  'int ioctl(int, ulong, void *)',
);

const answer = allocate(8);

/**
 * The kind of namespace that `fd` stands for (CLONE_NEW*), undefined if it stands for none. ioctl_ns(2). Never blocks, whatever
 * else it stands for.
 * @throws EBADF, also for an O_PATH descriptor of a namespace
 */
export function namespaceType(fd: number): number | undefined {
  checkFd(fd);
  if (!isNamespace(fd)) return undefined;
  return check(ioctl(fd, NS_GET_NSTYPE, null), 'ioctl(NS_GET_NSTYPE)', fd);
}

/**
 * The user who owns the user namespace `fd`, as seen from ours (65534 when our namespace does not map them). ioctl_ns(2).
 * @throws EINVAL for another kind of namespace, ENOTTY for what is none, EBADF
 */
export function namespaceOwner(fd: number): number {
  checkFd(fd);
  check(ioctl(fd, NS_GET_OWNER_UID, answer), 'ioctl(NS_GET_OWNER_UID)', fd);
  return answer.readUInt32LE(0);
}

/** The user namespace that owns the namespace `fd`. ioctl_ns(2). @throws EPERM when it is outside ours, ENOTTY */
export function owningUserNamespace(fd: number): Fd {
  checkFd(fd);
  return new Fd(check(openByIoctl(fd, NS_GET_USERNS, null), 'ioctl(NS_GET_USERNS)', fd));
}

/**
 * The parent of the user or pid namespace `fd`. ioctl_ns(2).
 * @throws EPERM when it is outside ours or there is none, EINVAL for another kind of namespace, ENOTTY
 */
export function parentNamespace(fd: number): Fd {
  checkFd(fd);
  return new Fd(check(openByIoctl(fd, NS_GET_PARENT, null), 'ioctl(NS_GET_PARENT)', fd));
}

/**
 * The number that names a namespace while it lives; it is given again after that. namespaces(7). Never blocks.
 * @throws EBADF
 */
export function namespaceInode(fd: number): number {
  checkFd(fd);
  return Number(statx(fd).inode);
}

/**
 * The number that no other namespace gets until the next boot.
 * @returns undefined where the kernel does not number its namespaces (before 6.18), and for what is no namespace
 * @throws EBADF
 */
export function namespaceId(fd: number): bigint | undefined {
  checkFd(fd);
  try {
    check(ioctl(fd, NS_GET_ID, answer), 'ioctl(NS_GET_ID)', fd);
    return answer.readBigUInt64LE(0);
  } catch (error) {
    if (isSystemError(error, 'ENOTTY', 'EINVAL')) return undefined;
    throw error;
  }
}

/**
 * Opens the user namespace with this id and inode, one below ours that nobody need hold open. name_to_handle_at(2), nsfs.
 * @throws ESTALE when it is dead, EPERM when there is no telling without CAP_SYS_ADMIN, EBADF or EOPNOTSUPP where the kernel
 * can't (before 6.18)
 */
export function openUserNamespace(id: bigint, inode: number): Fd {
  checkUint64('id', id);
  checkUint32('inode', inode);
  const handle = Buffer.alloc(16);
  handle.writeBigUInt64LE(id, 0);
  handle.writeUInt32LE(CLONE_NEWUSER, 8);
  handle.writeUInt32LE(inode, 12);
  try {
    return openByHandle(FD_NSFS_ROOT, FILEID_NSFS, handle);
  } catch (error) {
    // ESTALE is also what the kernel says of one that lives to a process that may not open it.
    if (isSystemError(error, 'ESTALE') && !hasCapability(CAP_SYS_ADMIN))
      throw new SystemError(EPERM, 'open_by_handle_at');
    throw error;
  }
}
