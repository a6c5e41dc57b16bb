import { checkFd, checkMask } from '../arguments.js';
import { EBADF, EINTR } from '../error/errno.js';
import { isSystemError, SystemError } from '../error/system-error.js';
import { allocate, errno, libc } from '../ffi/libc.js';
import { EPOLLIN } from './epoll.js';

const pollCall = libc<(fds: Uint8Array, count: number, timeout: number) => number>('int poll(void *, ulong, int)');

const POLLNVAL = 0x20;

const pollfd = allocate(8);

/** Which of `events`, an EPOLL* mask, `fd` has right now; EPOLLERR and EPOLLHUP unasked. poll(2). @throws EBADF */
export function pollNow(fd: number, events: number): number {
  checkFd(fd);
  checkMask('events', events);
  // The kernel leaves it out.
  if (fd < 0) throw new SystemError(EBADF, 'poll', String(fd));
  pollfd.writeInt32LE(fd, 0);
  pollfd.writeInt16LE(events, 4);
  pollfd.writeInt16LE(0, 6);
  while (pollCall(pollfd, 1, 0) === -1) {
    const error = errno();
    if (error !== EINTR) throw new SystemError(error, 'poll', String(fd));
  }
  const revents = pollfd.readUInt16LE(6);
  if ((revents & POLLNVAL) !== 0) throw new SystemError(EBADF, 'poll', String(fd));
  return revents;
}

/**
 * Whether something waits in `fd` to be read or accepted; of a pidfd, whether the process has ended. poll(2).
 * @throws EBADF
 */
export function isReadable(fd: number): boolean {
  return (pollNow(fd, EPOLLIN) & EPOLLIN) !== 0;
}

/**
 * Whether something waits in `fd` to be read or accepted. False also when the kernel does not tell now, for want of memory, say:
 * for who looks again anyway. poll(2)
 */
export function isSeenWaiting(fd: number): boolean {
  checkFd(fd);
  try {
    return isReadable(fd);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    return false;
  }
}
