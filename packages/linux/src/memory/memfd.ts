import { checkBytes, checkFd, checkText } from '../arguments.js';
import { EINVAL } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd, write } from '../fd/fd.js';
import { cString } from '../ffi/c-string.js';
import { errno, libc } from '../ffi/libc.js';

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const MFD_EXEC = 16;
const F_ADD_SEALS = 1033;
const F_GET_SEALS = 1034;
/** F_SEAL_SEAL, _SHRINK, _GROW and _WRITE */
const UNCHANGEABLE = 1 | 2 | 4 | 8;

const memfdCreate = descriptorCall<(name: string, flags: number) => number>('int memfd_create(const char *, uint)');

const fcntl = libc<(fd: number, command: number, argument: number) => number>('int fcntl(int, int, long)');

/**
 * An empty file in memory that goes with its last descriptor, close-on-exec; a program written to it may be executed unless
 * vm.memfd_noexec=2 forbids that. memfd_create(2).
 * @param name for /proc/PID/fd, at most 249 bytes; means nothing
 * @throws EMFILE, ENFILE, ENOMEM, EACCES
 */
export function memoryFile(name: string): Fd {
  checkText('name', name);
  const text = cString(name, 'memfd_create');
  const fd = memfdCreate(text, MFD_CLOEXEC | MFD_EXEC);
  // Kernels before 6.3 don't know the flag, and need none.
  return new Fd(check(fd === -1 && errno() === EINVAL ? memfdCreate(text, MFD_CLOEXEC) : fd, 'memfd_create', name));
}

/**
 * A file in memory that holds these bytes, and which nobody can change any more, whoever has it. Its offset is at its end: read
 * it by offset. memfd_create(2), fcntl(2) F_ADD_SEALS.
 * @param name for /proc/PID/fd, at most 249 bytes; means nothing
 * @throws EMFILE, ENFILE, ENOMEM
 */
export function sealedFile(name: string, bytes: Uint8Array): Fd {
  checkText('name', name);
  checkBytes('bytes', bytes);
  const fd = new Fd(
    check(memfdCreate(cString(name, 'memfd_create'), MFD_CLOEXEC | MFD_ALLOW_SEALING), 'memfd_create', name),
  );
  try {
    for (let left = bytes; left.byteLength > 0; ) left = left.subarray(write(fd.number, left));
    check(fcntl(fd.number, F_ADD_SEALS, UNCHANGEABLE), 'fcntl', fd.number);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * Whether nobody can change what `fd` holds: a file in memory that is sealed so. fcntl(2) F_GET_SEALS.
 * @throws EBADF
 */
export function isSealed(fd: number): boolean {
  checkFd(fd);
  const seals = fcntl(fd, F_GET_SEALS, 0);
  if (seals !== -1) return (seals & UNCHANGEABLE) === UNCHANGEABLE;
  const error = errno();
  if (error === EINVAL) return false;
  throw new SystemError(error, 'fcntl', String(fd));
}
