import { EventLoop } from '@sdrx/event';
import { eventfd, type Fd, read, write } from '@sdrx/linux';
import { meter, task } from '../meter.js';

const { work, events, width } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());

const one = Buffer.from(new BigUint64Array([1n]).buffer);
const value = Buffer.alloc(8);
const add = ({ number }: Fd) => write(number, one);
const take = ({ number }: Fd) => read(number, value);

const first = eventfd();
const all = [first, ...Array.from({ length: width - 1 }, () => eventfd())];
let ready = 0;
const handlers = {
  /** The others are idle. */
  io: (fd: Fd) => {
    take(fd);
    add(fd);
    tick();
  },
  /** All at once, again when all have been read. */
  ready: (fd: Fd) => {
    take(fd);
    if (++ready === width) {
      ready = 0;
      all.forEach(add);
    }
    tick();
  },
};

const handle = work === 'io' ? handlers.io : handlers.ready;
for (const fd of all) loop.io(fd.number).subscribe(() => handle(fd));
for (const fd of work === 'io' ? [first] : all) add(fd);
await loop.run();
