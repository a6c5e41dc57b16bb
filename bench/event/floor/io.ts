// The system calls alone, one after the other by koffi, and no loop.
import { allocate, EventFd, libc } from '@sdrx/linux';
import { meter, task } from '../meter.js';
import { watch, whenReady } from './ready.js';

const read = libc<(fd: number, counter: Uint8Array) => number>('int eventfd_read(int, void *)');
const write = libc<(fd: number, count: number) => number>('int eventfd_write(int, uint64_t)');

const { work, events, width } = task();
let isDone = false;
const tick = meter(events, () => {
  isDone = true;
});

const all = Array.from({ length: width }, () => new EventFd());
for (const { fd } of all) watch(fd, fd);
const woken = work === 'io' ? all.slice(0, 1) : all;
const wake = () => {
  for (const { fd } of woken) write(fd, 1);
};
const counter = allocate(8);

wake();
let ready = 0;
while (!isDone) {
  whenReady((fd) => {
    read(fd, counter);
    if (++ready === woken.length) {
      ready = 0;
      wake();
    }
    tick();
  });
}
