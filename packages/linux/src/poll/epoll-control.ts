import { check } from '../error/system-error.js';
import { allocate, libc } from '../ffi/libc.js';

export const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
export const EPOLL_CTL_MOD = 3;

/** How many words of 32 bits a struct epoll_event has, and which its data is. It is packed on x86-64 only. */
export const [WORDS, DATA] = process.arch === 'x64' ? [3, 1] : [4, 2];

const epollCtl = libc<(epoll: number, operation: number, fd: number, event: Uint8Array | null) => number>(
  'int epoll_ctl(int, int, int, void *)',
);

const event = allocate(16);
const eventWords = new Uint32Array(event.buffer, event.byteOffset, 4);

/** Adds to an epoll instance, or changes what is in it. epoll_ctl(2) @throws EPERM, EEXIST, ENOENT, EBADF, ENOSPC, ENOMEM */
export function controlEpoll(epoll: number, operation: number, fd: number, events: number, data: number): void {
  eventWords[0] = events;
  // The upper half stays 0.
  eventWords[DATA] = data;
  check(epollCtl(epoll, operation, fd, event), 'epoll_ctl', fd);
}

/** Harmless for what is not in it. */
export function removeFromEpoll(epoll: number, fd: number): void {
  epollCtl(epoll, EPOLL_CTL_DEL, fd, null);
}
