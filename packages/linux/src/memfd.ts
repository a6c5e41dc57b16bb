import { checkText } from './arguments.js';
import { cString } from './c-string.js';
import { descriptorCall } from './descriptor-call.js';
import { EINVAL } from './errno.js';
import { Fd } from './fd.js';
import { errno } from './libc.js';
import { check } from './system-error.js';

const MFD_CLOEXEC = 1;
const MFD_EXEC = 16;

const memfdCreate = descriptorCall<(name: string, flags: number) => number>('int memfd_create(const char *, uint)');

/**
 * An empty file in memory that goes with its last descriptor, close-on-exec; a program written to it may be executed
 * unless vm.memfd_noexec=2 forbids that. memfd_create(2). Throws EMFILE, ENFILE, ENOMEM, EACCES.
 * @param name for /proc/PID/fd, at most 249 bytes; means nothing
 */
export function memoryFile(name: string): Fd {
  checkText('name', name);
  const text = cString(name, 'memfd_create');
  const fd = memfdCreate(text, MFD_CLOEXEC | MFD_EXEC);
  // Kernels before 6.3 don't know the flag, and need none.
  return new Fd(check(fd === -1 && errno() === EINVAL ? memfdCreate(text, MFD_CLOEXEC) : fd, 'memfd_create', name));
}
