import { checkBytes, checkFd } from '../arguments.js';
import { EAGAIN, EINTR } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';

const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const send = libc<(fd: number, bytes: Uint8Array, size: number, flags: number) => number>(
  'intptr_t send(int, const void *, size_t, int)',
);

/**
 * Sends over a connected socket without waiting, also where the socket itself would wait, as one that other processes share with
 * us may. send(2) MSG_DONTWAIT. Never raises SIGPIPE.
 * @returns how many bytes were taken, undefined when none are now.
 * @throws EPIPE, ECONNRESET, ENOTSOCK, EBADF, EMSGSIZE
 */
export function sendNow(fd: number, bytes: Uint8Array): number | undefined {
  checkFd(fd);
  checkBytes('bytes', bytes);
  for (;;) {
    const count = send(fd, bytes, bytes.byteLength, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count !== -1) return count;
    const error = errno();
    if (error === EAGAIN) return undefined;
    if (error !== EINTR) throw new SystemError(error, 'send', String(fd));
  }
}
