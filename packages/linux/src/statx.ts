import { allocate, libc } from './libc.js';
import { check } from './system-error.js';

const AT_EMPTY_PATH = 0x1000;
const STATX_TYPE = 0x1;
const STATX_INO = 0x100;
const STATX_MNT_ID = 0x1000;

const statxCall = libc<(fd: number, path: string, flags: number, mask: number, buffer: Uint8Array) => number>(
  'int statx(int, const char *, int, uint, void *)',
);
const buffer = allocate(256);

/** What statx(2) knows and Node's stat does not. */
export interface Statx {
  readonly inode: bigint;
  /** The id of the mount that the fd was opened on, as in /proc/self/mountinfo; undefined before Linux 5.8. */
  readonly mountId: bigint | undefined;
}

/** Asks about an open file, O_PATH ones included. statx(2). Throws EBADF. */
export function statx(fd: number): Statx {
  check(statxCall(fd, '', AT_EMPTY_PATH, STATX_TYPE | STATX_INO | STATX_MNT_ID, buffer), 'statx', fd);
  const mask = buffer.readUInt32LE(0);
  return {
    inode: buffer.readBigUInt64LE(32),
    mountId: (mask & STATX_MNT_ID) === 0 ? undefined : buffer.readBigUInt64LE(144),
  };
}
