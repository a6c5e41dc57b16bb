import { openSync, readFileSync, readlinkSync } from 'node:fs';
import { Fd, isSystemError } from '@sdrx/linux';

/** How long unshare(1) may take, in milliseconds. */
const LIMIT = 20_000;

const clock = new Int32Array(new SharedArrayBuffer(4));

/**
 * Waits until a process that was started to make a user namespace of its own is in it, and opens the namespace.
 * @throws Error when it ends before: unshare(1) has said why
 */
export function openNamespaceOf(pid: number, kind: 'user' | 'net' = 'user'): Fd {
  const path = `/proc/${pid}/ns/user`;
  const own = readlinkSync('/proc/self/ns/user');
  for (const end = Date.now() + LIMIT; Date.now() < end; Atomics.wait(clock, 0, 0, 1)) {
    if (!isRunning(pid)) break;
    try {
      if (readlinkSync(path) !== own) return new Fd(openSync(`/proc/${pid}/ns/${kind}`, 'r'));
    } catch (error) {
      // For a moment it is nobody's to look at.
      if (!isSystemError(error, 'EACCES', 'EPERM', 'ENOENT')) throw error;
    }
  }
  throw new Error("no user namespace could be made: 'nsresourcectl check' tells whether this machine allows it");
}

function isRunning(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}
