import { checkFd } from '../arguments.js';
import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';

const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_TYPE = 0x1;
const STATX_INO = 0x100;
const STATX_MNT_ID = 0x1000;

/** The part of `Statx.mode` that says what kind of file it is. inode(7) */
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFLNK = 0o120000;

/** By its number: the C library musl has it since 1.2.5 only. */
const SYS_STATX = process.arch === 'arm64' ? 291 : 332;

const syscall = libc<
  (number: number, fd: number, path: string, flags: number, mask: number, buffer: Uint8Array) => number
>('long syscall(long, int, const char *, int, uint, void *)');
const buffer = allocate(256);

/** What statx(2) tells of an open file. */
export interface Statx {
  readonly inode: bigint;
  /** The file system's, as `major:minor`, so as /proc/self/mountinfo has it. */
  readonly device: string;
  readonly isDirectory: boolean;
  readonly isSymbolicLink: boolean;
  /** The id of the mount that the fd was opened on, as in /proc/self/mountinfo; undefined before Linux 5.8. */
  readonly mountId: bigint | undefined;
}

/**
 * Asks about an open file, O_PATH ones included, what the kernel knows without asking whoever serves the file system: fstat(2)
 * may wait for ever for that one. statx(2) AT_STATX_DONT_SYNC.
 * @throws EBADF, and EACCES for a file system (FUSE) that is not for us to see
 */
export function statx(fd: number): Statx {
  checkFd(fd);
  const mask = STATX_TYPE | STATX_INO | STATX_MNT_ID;
  check(syscall(SYS_STATX, fd, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, mask, buffer), 'statx', fd);
  const type = buffer.readUInt16LE(28) & S_IFMT;
  return {
    inode: buffer.readBigUInt64LE(32),
    device: `${buffer.readUInt32LE(136)}:${buffer.readUInt32LE(140)}`,
    isDirectory: type === S_IFDIR,
    isSymbolicLink: type === S_IFLNK,
    mountId: (buffer.readUInt32LE(0) & STATX_MNT_ID) === 0 ? undefined : buffer.readBigUInt64LE(144),
  };
}
