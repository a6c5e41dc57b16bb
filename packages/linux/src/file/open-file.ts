import { checkInteger, checkText } from '../arguments.js';
import { EINTR } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { cString } from '../ffi/c-string.js';
import { errno } from '../ffi/libc.js';

const O_CLOEXEC = 0o2000000;

const openCall = descriptorCall<(path: string, flags: number, mode: number) => number>(
  'int open(const char *, int, uint)',
);

/**
 * Opens a file, close-on-exec. open(2). Unlike a descriptor of `fs.openSync` this one is not closed by Node, too, at the end of a
 * worker thread, when its number may be another thread's.
 * @param flags O_RDONLY and so on, as in `fs.constants`
 * @param mode the permissions of a file that is made
 * @throws ENOENT, EACCES, EINVAL for a path with a NUL in it, EMFILE, …
 */
export function openFile(path: string, flags = 0, mode = 0o666): Fd {
  checkText('path', path);
  checkInteger('flags', flags, 0, 0x7fff_ffff);
  checkInteger('mode', mode, 0, 0o7777);
  const text = cString(path, 'open');
  for (;;) {
    const fd = openCall(text, flags | O_CLOEXEC, mode);
    if (fd !== -1) return new Fd(fd);
    const error = errno();
    if (error !== EINTR) throw new SystemError(error, 'open', path);
  }
}
