// The system calls alone, one after the other by koffi, and no loop. The signals are sent to this thread, as others would take them.
import { allocate, libc, SignalFd, setBlocked, signalNumber } from '@sdrx/linux';
import { meter, task } from '../meter.js';
import { watch, whenReady } from './ready.js';

const SIGNAL = signalNumber('SIGRTMIN+18');
/** A signalfd_siginfo in bytes, and how many one read fetches at most. */
const SIZE = 128;
const BATCH = 64;

const read = libc<(fd: number, buffer: Uint8Array, size: number) => number>('long read(int, void *, size_t)');
const self = libc<() => bigint>('void *pthread_self()')();
const queue = libc<(thread: bigint, signo: number, value: number) => number>(
  'int pthread_sigqueue(void *, int, intptr_t)',
);

const { events, width } = task();
let isDone = false;
const tick = meter(events, () => {
  isDone = true;
});

setBlocked(SIGNAL, true);
const { fd } = new SignalFd(SIGNAL);
watch(fd, 0);
const buffer = allocate(SIZE * BATCH);
const queueAll = () => {
  for (let value = 0; value < width; value++) queue(self, SIGNAL, value);
};

queueAll();
let received = 0;
while (!isDone) {
  whenReady(() => {
    const count = read(fd, buffer, SIZE * BATCH) / SIZE;
    for (let index = 0; index < count; index++) {
      if (++received === width) {
        received = 0;
        queueAll();
      }
      tick();
    }
  });
}
