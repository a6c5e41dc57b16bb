// Sends back what it receives, at the socket of that path: the least that a service in Node can do for a call. System calls by koffi, in
// Node's loop, and nothing of ours.
import { unlinkSync } from 'node:fs';
import { addressOf, allocate, bind, EPOLLIN, Epoll, libc, listen, NodePoll, unixSocket } from '@sdrx/linux';

const MSG_NOSIGNAL = 0x4000;
const SOCK_FLAGS = 0o2004000; // SOCK_CLOEXEC, SOCK_NONBLOCK
const SIZE = 32_768;

const accept4 = libc<(fd: number, address: null, size: null, flags: number) => number>(
  'int accept4(int, void *, void *, int)',
);
const recv = libc<(fd: number, bytes: bigint, size: number, flags: number) => number>(
  'intptr_t recv(int, intptr_t, size_t, int)',
);
const send = libc<(fd: number, bytes: bigint, size: number, flags: number) => number>(
  'intptr_t send(int, intptr_t, size_t, int)',
);
const close = libc<(fd: number) => number>('int close(int)');

const [, , path = ''] = process.argv;
const buffer = allocate(SIZE);
const address = addressOf(buffer);
const listening = unixSocket();
bind(listening.number, path);
listen(listening.number);
const epoll = new Epoll();
epoll.add(listening.number, EPOLLIN, 0);
const poll = new NodePoll(epoll.fd, () => {
  const count = epoll.poll();
  for (let index = 0; index < count; index++) {
    const fd = epoll.data(index);
    if (fd === 0) acceptAll();
    else if (answer(fd) === 0) close(fd);
  }
});
console.log('listening');
process.stdin.resume().on('end', () => {
  poll[Symbol.dispose]();
  unlinkSync(path);
  process.exit();
});

function acceptAll(): void {
  for (let fd = accept4(listening.number, null, null, SOCK_FLAGS); fd >= 0; ) {
    // Mostly the call is there already.
    if (answer(fd) === 0) close(fd);
    else epoll.add(fd, EPOLLIN, fd);
    fd = accept4(listening.number, null, null, SOCK_FLAGS);
  }
}

/** @returns how many bytes it was, 0 at the end, −1 if there are none now */
function answer(fd: number): number {
  const count = recv(fd, address, SIZE, 0);
  if (count > 0) send(fd, address, count, MSG_NOSIGNAL);
  return count;
}
