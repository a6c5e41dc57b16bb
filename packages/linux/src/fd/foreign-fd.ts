import { readlinkSync } from 'node:fs';
import { checkFd } from '../arguments.js';
import { statx } from '../file/statx.js';
import { O_PATH, statusFlags } from './fd.js';

/*
 * A descriptor that came from somebody else may stand for a file whose file system does not answer. close(2) asks it then, and
 * so do fstat(2), fstatfs(2) and ioctl(2); the process hangs, often beyond SIGKILL. What is asked here asks nobody.
 */

/** What the kernel calls such a namespace; no path can look so, as it begins with a slash. proc_pid_fd(5), namespaces(7) */
const USER_OR_NETWORK = /^(?:user|net):\[\d+\]$/;

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
 * Whether nobody is asked when a copy of `fd` is closed that is not the last one, as each new process does with what it inherits:
 * it is a namespace, a directory, or was opened with O_PATH. A file of FUSE gets FLUSH each time, and a process that is started
 * while one is open hangs before it begins, with its parent.
 * @throws EBADF
 */
export function isNeverFlushed(fd: number): boolean {
  checkFd(fd);
  return (statusFlags(fd) & O_PATH) !== 0 || closesAtOnce(fd) || isDirectory(fd);
}

function isDirectory(fd: number): boolean {
  try {
    return statx(fd).isDirectory;
  } catch {
    return false;
  }
}
