import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { meter, task } from '../meter.js';

const { work, events, width } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());

const first = new EventFd();
const all = [first, ...Array.from({ length: width - 1 }, () => new EventFd())];
let ready = 0;
const handlers = {
  /** The others are idle. */
  io: (eventfd: EventFd) => {
    eventfd.take();
    eventfd.add();
    tick();
  },
  /** All at once, again when all have been read. */
  ready: (eventfd: EventFd) => {
    eventfd.take();
    if (++ready === width) {
      ready = 0;
      for (const each of all) each.add();
    }
    tick();
  },
};

const handle = work === 'io' ? handlers.io : handlers.ready;
for (const eventfd of all) loop.io(eventfd.fd).subscribe(() => handle(eventfd));
for (const eventfd of work === 'io' ? [first] : all) eventfd.add();
await loop.run();
