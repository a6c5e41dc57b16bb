import { checkUint32, wrongKind } from '../arguments.js';
import { EINTR, ERANGE } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { cString } from '../ffi/c-string.js';
import { allocate, libc } from '../ffi/libc.js';

type Memory = Uint8Array;
type Look<K> = (
  key: K,
  entry: Memory,
  buffer: Memory,
  size: number,
  result: Memory,
  done: (failure: unknown, error: number) => void,
) => void;

const getpwnam = libc<Look<string>>('int getpwnam_r(const char *, void *, void *, size_t, void *)', 'async');
const getpwuid = libc<Look<number>>('int getpwuid_r(uint, void *, void *, size_t, void *)', 'async');
const getgrnam = libc<Look<string>>('int getgrnam_r(const char *, void *, void *, size_t, void *)', 'async');
const getgrgid = libc<Look<number>>('int getgrgid_r(uint, void *, void *, size_t, void *)', 'async');

/**
 * Whether the system's user database (nsswitch.conf(5)) knows a user, by name or by uid, 0 to 2³² − 1. getpwnam(3). Asked in a
 * thread: a service behind it may take its time, or never answer. Rejects with EINVAL for a name with a NUL in it, EIO,
 * EMFILE, ENOMEM.
 */
export async function userExists(user: string | number): Promise<boolean> {
  checkNameOrId('user', user);
  return typeof user === 'string' ? exists(getpwnam, 'getpwnam_r', user) : exists(getpwuid, 'getpwuid_r', user);
}

/** Whether the system's group database knows a group, by name or by gid; otherwise as `userExists`. getgrnam(3). */
export async function groupExists(group: string | number): Promise<boolean> {
  checkNameOrId('group', group);
  return typeof group === 'string' ? exists(getgrnam, 'getgrnam_r', group) : exists(getgrgid, 'getgrgid_r', group);
}

function checkNameOrId(name: string, value: unknown): void {
  if (typeof value === 'string') return;
  if (typeof value !== 'number') throw wrongKind(name, 'a name or an id', value);
  checkUint32(name, value);
}

// POSIX lets an unknown name be one of these errors instead of a plain "not found".
const NOT_FOUND = ['ENOENT', 'ESRCH', 'EBADF', 'EPERM'];

async function exists<K extends string | number>(look: Look<K>, syscall: string, key: K): Promise<boolean> {
  if (typeof key === 'string') cString(key, syscall);
  const [entry, result] = [allocate(64), allocate(8)];
  for (let size = 4096; ; ) {
    const buffer = allocate(size);
    const error = await new Promise<number>((resolve, reject) => {
      look(key, entry, buffer, size, result, (failure, error) => (failure ? reject(failure) : resolve(error)));
    });
    if (error === 0) return result.readBigUInt64LE(0) !== 0n;
    if (error === ERANGE) size *= 2;
    else if (error !== EINTR) {
      const failure = new SystemError(error, syscall, String(key));
      if (NOT_FOUND.includes(failure.code)) return false;
      throw failure;
    }
  }
}
