import { EventLoop, type SuperviseOptions, supervise } from '@sdrx/event';
import { tap } from 'rxjs';
import { meter, task } from '../meter.js';

const { work, events } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());
const [file, output]: [string, SuperviseOptions['output']] =
  work === 'lines' ? ['/bin/echo', 'lines'] : ['/bin/true', 'inherit'];
let lines = 0;

const program$ = supervise(loop, { file, args: ['hello'] }, { output, backoff: { first: 0 } }).pipe(
  tap((event) => {
    if (event.type === 'line') lines++;
    if (event.type !== 'ended') return;
    if (output === 'lines' && lines !== event.attempt) throw new Error(`${lines} lines after ${event.attempt} runs`);
    tick();
  }),
);
await loop.run(program$);
