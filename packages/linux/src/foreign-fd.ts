import { readlinkSync } from 'node:fs';
import { checkFd } from './arguments.js';
import { O_PATH, statusFlags } from './fd.js';
import { allocate, libc } from './libc.js';

/*
 * A descriptor that came from somebody else may stand for a file whose file system does not answer. close(2) asks it then, and
 * so do fstat(2), fstatfs(2) and ioctl(2); the process hangs, often beyond SIGKILL. What is asked here asks nobody.
 */

const AT_EMPTY_PATH = 0x1000;
const AT_STATX_DONT_SYNC = 0x4000;
const STATX_TYPE = 0x1;
const STATX_MODE = 28;
const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;

/** What the kernel calls such a namespace; no path can look so, as it begins with a slash. proc_pid_fd(5), namespaces(7) */
const USER_OR_NETWORK = /^(?:user|net):\[\d+\]$/;

const statxCall = libc<(fd: number, path: string, flags: number, mask: number, buffer: Uint8Array) => number>(
  'int statx(int, const char *, int, uint, void *)',
);
const buffer = allocate(256);

/**
 * Whether closing `fd` can't hang, whoever it came from: it is a user or network namespace. A mount namespace takes its mounts
 * with it. False for one that is not open, and where there is no /proc.
 */
export function closesAtOnce(fd: number): boolean {
  checkFd(fd);
  try {
    return USER_OR_NETWORK.test(readlinkSync(`/proc/self/fd/${fd}`));
  } catch {
    return false;
  }
}

/**
 * Whether nobody is asked when a copy of `fd` is closed that is not the last one, as each new process does with what it
 * inherits: it is a namespace, a directory, or was opened with O_PATH. A file of FUSE gets FLUSH each time, and a process that
 * is started while one is open hangs before it begins, with its parent. Throws EBADF.
 */
export function isNeverFlushed(fd: number): boolean {
  checkFd(fd);
  return (statusFlags(fd) & O_PATH) !== 0 || closesAtOnce(fd) || isDirectory(fd);
}

function isDirectory(fd: number): boolean {
  if (statxCall(fd, '', AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, buffer) !== 0) return false;
  return (buffer.readUInt16LE(STATX_MODE) & S_IFMT) === S_IFDIR;
}
