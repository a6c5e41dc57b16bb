import { allocate, EPOLLIN, Epoll, libc } from '@sdrx/linux';

/** How many entries one wait fetches at most. */
const CAPACITY = 512;
/** An entry of epoll_wait(2) in bytes, and where its number is. */
const [ENTRY, DATA] = process.arch === 'x64' ? [12, 4] : [16, 8];

const epollWait = libc<(epoll: number, events: Uint8Array, capacity: number, timeout: number) => number>(
  'int epoll_wait(int, void *, int, int)',
);

const epoll = new Epoll();
const entries = allocate(CAPACITY * ENTRY);

export function watch(fd: number, data: number): void {
  epoll.add(fd, EPOLLIN, data);
}

/** Waits until something is ready, and tells `then` the number of each. epoll_wait(2) */
export function whenReady(then: (data: number) => void): void {
  const count = epollWait(epoll.fd, entries, CAPACITY, -1);
  for (let index = 0; index < count; index++) then(entries.readUInt32LE(index * ENTRY + DATA));
}
