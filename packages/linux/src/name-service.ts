import { cString } from './c-string.js';
import { EINTR, ERANGE } from './errno.js';
import { allocate, libc } from './libc.js';
import { SystemError } from './system-error.js';

type Memory = Uint8Array;
type ByName = (name: string, entry: Memory, buffer: Memory, size: number, result: Memory) => number;
type ById = (id: number, entry: Memory, buffer: Memory, size: number, result: Memory) => number;

const getpwnam = libc<ByName>('int getpwnam_r(const char *, void *, void *, size_t, void *)');
const getpwuid = libc<ById>('int getpwuid_r(uint, void *, void *, size_t, void *)');
const getgrnam = libc<ByName>('int getgrnam_r(const char *, void *, void *, size_t, void *)');
const getgrgid = libc<ById>('int getgrgid_r(uint, void *, void *, size_t, void *)');

const entry = allocate(64);
const result = allocate(8);
let buffer = allocate(4096);

/**
 * Whether the system's user database (nsswitch.conf(5)) knows a user, by name or by uid, 0 to 2³² − 1. getpwnam(3). Blocks
 * meanwhile. Throws EINVAL for a name with a NUL in it, EIO, EMFILE, ENOMEM.
 */
export function userExists(user: string | number): boolean {
  return typeof user === 'string'
    ? exists(getpwnam, 'getpwnam_r', cString(user, 'getpwnam_r'))
    : exists(getpwuid, 'getpwuid_r', user);
}

/** Whether the system's group database knows a group, by name or by gid; otherwise as `userExists`. getgrnam(3). */
export function groupExists(group: string | number): boolean {
  return typeof group === 'string'
    ? exists(getgrnam, 'getgrnam_r', cString(group, 'getgrnam_r'))
    : exists(getgrgid, 'getgrgid_r', group);
}

// POSIX lets an unknown name be one of these errors instead of a plain "not found".
const NOT_FOUND = ['ENOENT', 'ESRCH', 'EBADF', 'EPERM'];

function exists<K>(
  look: (key: K, entry: Memory, buffer: Memory, size: number, result: Memory) => number,
  syscall: string,
  key: K,
): boolean {
  for (;;) {
    const error = look(key, entry, buffer, buffer.length, result);
    if (error === 0) return result.readBigUInt64LE(0) !== 0n;
    if (error === ERANGE) {
      buffer = allocate(buffer.length * 2);
      continue;
    }
    if (error === EINTR) continue;
    const failure = new SystemError(error, syscall, String(key));
    if (NOT_FOUND.includes(failure.code)) return false;
    throw failure;
  }
}
