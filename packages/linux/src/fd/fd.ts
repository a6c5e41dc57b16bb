import { checkBoolean, checkBytes, checkFd, checkInteger } from '../arguments.js';
import { EAGAIN, EINTR } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { errno, libc } from '../ffi/libc.js';
import { atThreadEnd, notAtThreadEnd, threadEnd } from '../thread/thread-end.js';
import { closeFunction, descriptorCall } from './descriptor-call.js';

const F_GETFD = 1;
const F_SETFD = 2;
const F_GETFL = 3;
const F_SETFL = 4;
const F_DUPFD_CLOEXEC = 1030;
const FD_CLOEXEC = 1;

export const O_NONBLOCK = 0o4000;
export const O_DIRECTORY = process.arch === 'arm64' ? 0o40000 : 0o200000;
export const O_NOFOLLOW = process.arch === 'arm64' ? 0o100000 : 0o400000;
export const O_LARGEFILE = process.arch === 'arm64' ? 0o400000 : 0o100000;
export const O_PATH = 0o10000000;
export const O_ACCMODE = 3;

const closeCall = libc<(fd: number) => number>('int close(int)');
const fcntl = libc<(fd: number, command: number, argument: number) => number>('int fcntl(int, int, long)');
const duplicateCall =
  descriptorCall<(fd: number, command: number, argument: number) => number>('int fcntl(int, int, long)');
const readCall = libc<(fd: number, buffer: Uint8Array, size: number) => number>('intptr_t read(int, void *, size_t)');
const writeCall = libc<(fd: number, buffer: Uint8Array, size: number) => number>(
  'intptr_t write(int, const void *, size_t)',
);

/**
 * A file descriptor with one owner: whoever holds this object closes it, by `close`, `using`, or gives it away. One that a worker
 * thread holds is closed when the thread ends, however it ends.
 */
export class Fd implements Disposable {
  #number: number;

  /**
   * Takes over `number`, which nobody else may close from now on. In a worker thread not one of `fs.openSync`: Node closes those
   * at the thread's end by itself.
   */
  constructor(number: number) {
    checkFd(number, 'number');
    this.#number = number;
    if (number >= 0) atThreadEnd(closeFunction, number);
  }

  /** The descriptor's number, or −1 after it was closed or given away. */
  get number(): number {
    return this.#number;
  }

  /** Gives the descriptor away: the caller owns the number, this object no longer does. */
  take(): number {
    const number = this.#number;
    this.#number = -1;
    if (number >= 0) notAtThreadEnd(closeFunction, number);
    return number;
  }

  /** Closes the descriptor; harmless when it is closed or was given away. */
  close(): void {
    const number = this.#number;
    this.#number = -1;
    if (number >= 0) close(number);
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

/** Closes `fd`. close(2). Errors are not reported: the descriptor is gone whatever it answers. */
export function close(fd: number): void {
  checkFd(fd);
  threadEnd?.remove(threadEnd.isolate, closeFunction, fd);
  closeCall(fd);
}

/**
 * A second descriptor of the same open file, close-on-exec, numbered `lowest` or above. fcntl(2) F_DUPFD_CLOEXEC.
 * @throws EBADF, EMFILE, and EINVAL for a `lowest` beyond the limit
 */
export function duplicate(fd: number, lowest = 3): Fd {
  checkFd(fd);
  checkFd(lowest, 'lowest');
  return new Fd(check(duplicateCall(fd, F_DUPFD_CLOEXEC, lowest), 'fcntl', fd));
}

/** The open file's flags, O_*. fcntl(2) F_GETFL. @throws EBADF */
export function statusFlags(fd: number): number {
  checkFd(fd);
  return check(fcntl(fd, F_GETFL, 0), 'fcntl', fd);
}

/** Sets or clears O_NONBLOCK, which every descriptor of the same open file shares. fcntl(2) F_SETFL. @throws EBADF */
export function setNonBlocking(fd: number, on = true): void {
  checkFd(fd);
  checkBoolean('on', on);
  const flags = statusFlags(fd);
  check(fcntl(fd, F_SETFL, on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), 'fcntl', fd);
}

/** Sets or clears close-on-exec. fcntl(2) F_SETFD. @throws EBADF */
export function setCloseOnExec(fd: number, on = true): void {
  checkFd(fd);
  checkBoolean('on', on);
  const flags = check(fcntl(fd, F_GETFD, 0), 'fcntl', fd);
  check(fcntl(fd, F_SETFD, on ? flags | FD_CLOEXEC : flags & ~FD_CLOEXEC), 'fcntl', fd);
}

/** Whether `fd` is open in this process. */
export function isOpen(fd: number): boolean {
  checkFd(fd);
  return fcntl(fd, F_GETFD, 0) !== -1;
}

/**
 * Reads into `buffer`, at most `size` bytes and never more than it holds. read(2).
 * @returns how many bytes, 0 at the end, undefined when a non-blocking descriptor has nothing now
 * @throws EBADF, EISDIR, EINVAL, EIO
 */
export function read(fd: number, buffer: Uint8Array, size = buffer.byteLength): number | undefined {
  checkFd(fd);
  checkBytes('buffer', buffer);
  checkInteger('size', size, 0);
  for (;;) {
    const count = readCall(fd, buffer, Math.min(size, buffer.byteLength));
    if (count !== -1) return count;
    const error = errno();
    if (error === EAGAIN) return undefined;
    if (error !== EINTR) throw new SystemError(error, 'read', String(fd));
  }
}

/**
 * Writes from `buffer`, at most `size` bytes and never more than it holds. write(2).
 * @returns how many bytes, undefined when a non-blocking descriptor takes none now
 * @throws EBADF, EPIPE, ENOSPC, EIO
 */
export function write(fd: number, buffer: Uint8Array, size = buffer.byteLength): number | undefined {
  checkFd(fd);
  checkBytes('buffer', buffer);
  checkInteger('size', size, 0);
  for (;;) {
    const count = writeCall(fd, buffer, Math.min(size, buffer.byteLength));
    if (count !== -1) return count;
    const error = errno();
    if (error === EAGAIN) return undefined;
    if (error !== EINTR) throw new SystemError(error, 'write', String(fd));
  }
}
