import { checkFd, checkInteger, checkMask, checkUint32 } from '../arguments.js';
import { EINTR } from '../error/errno.js';
import { check, SystemError } from '../error/system-error.js';
import { descriptorCall } from '../fd/descriptor-call.js';
import { Fd } from '../fd/fd.js';
import { addressOf, allocate, errno, libc } from '../ffi/libc.js';
import { controlEpoll, DATA, EPOLL_CTL_ADD, EPOLL_CTL_MOD, removeFromEpoll, WORDS } from './epoll-control.js';

export const EPOLLIN = 0x001;
export const EPOLLPRI = 0x002;
export const EPOLLOUT = 0x004;
export const EPOLLERR = 0x008;
export const EPOLLHUP = 0x010;
export const EPOLLRDHUP = 0x2000;
export const EPOLLEXCLUSIVE = 1 << 28;
export const EPOLLONESHOT = 1 << 30;
/** Bit 31, as an unsigned number. */
export const EPOLLET = 0x8000_0000;

const EPOLL_CLOEXEC = 0o2000000;

/** How many events one wait fetches at most. */
const CAPACITY = 512;

const epollCreate1 = descriptorCall<(flags: number) => number>('int epoll_create1(int)');
const epollWait = libc<(epoll: number, events: number, capacity: number, timeout: number) => number>(
  'int epoll_wait(int, intptr_t, int, int)',
);

/** An epoll instance whose entries carry a number of the caller's choice, 0 to 2³² − 1. epoll(7). */
export class Epoll implements Disposable {
  readonly #fd = new Fd(check(epollCreate1(EPOLL_CLOEXEC), 'epoll_create1'));
  readonly #words = new Uint32Array(allocate(CAPACITY * WORDS * 4).buffer);
  readonly #events = Number(addressOf(this.#words));

  get fd(): number {
    return this.#fd.number;
  }

  /** @throws EPERM for an fd that can't be polled (a regular file, a directory), EEXIST, EBADF */
  add(fd: number, events: number, data: number): void {
    checkFd(fd);
    checkMask('events', events);
    checkUint32('data', data);
    controlEpoll(this.fd, EPOLL_CTL_ADD, fd, events, data);
  }

  /** Changes what to wait for, and the number; wakes an EPOLLONESHOT entry again. @throws ENOENT, EBADF */
  modify(fd: number, events: number, data: number): void {
    checkFd(fd);
    checkMask('events', events);
    checkUint32('data', data);
    controlEpoll(this.fd, EPOLL_CTL_MOD, fd, events, data);
  }

  /** Harmless for an fd that was closed, which epoll forgets by itself. */
  remove(fd: number): void {
    checkFd(fd);
    removeFromEpoll(this.fd, fd);
  }

  /**
   * Fetches what is ready now, up to 512 events, without waiting.
   * @returns how many; `data(i)` and `revents(i)` tell of the i-th until the next call
   */
  poll(): number {
    const count = epollWait(this.fd, this.#events, CAPACITY, 0);
    if (count >= 0) return count;
    const error = errno();
    if (error === EINTR) return 0;
    throw new SystemError(error, 'epoll_wait');
  }

  data(index: number): number {
    checkInteger('index', index, 0, CAPACITY - 1);
    return this.#words[index * WORDS + DATA] as number;
  }

  revents(index: number): number {
    checkInteger('index', index, 0, CAPACITY - 1);
    return this.#words[index * WORDS] as number;
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}
