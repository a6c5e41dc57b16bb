import { EventLoop } from '@sdrx/event';
import { meter, task } from '../meter.js';

const { work, events, width } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());

if (work === 'defer') {
  for (let index = 0; index < width; index++) loop.defer({ repeat: true }).subscribe(tick);
} else {
  loop.defer({ repeat: true }).subscribe();
  loop.post({ priority: -1 }).subscribe(tick);
}
await loop.run();
