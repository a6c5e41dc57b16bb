import { EventLoop, trace, writeTrace } from '@sdrx/event';
import { meter, task } from '../meter.js';

const { work, events } = task();
const loop = new EventLoop();
if (work === 'values') trace(loop).subscribe(() => {});
else if (work === 'file') writeTrace(loop, '/dev/null').subscribe();
loop.defer({ repeat: true }).subscribe(meter(events, () => loop.exit()));
await loop.run();
