import { EventLoop } from '@sdrx/event';
import { sigqueue } from '@sdrx/linux';
import { meter, task } from '../meter.js';

const SIGNAL = 'SIGRTMIN+18';

const { events, width } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());
const queue = () => {
  for (let value = 0; value < width; value++) sigqueue(process.pid, SIGNAL, value);
};

let received = 0;
loop.signal(SIGNAL).subscribe(() => {
  if (++received === width) {
    received = 0;
    queue();
  }
  tick();
});
queue();
await loop.run();
