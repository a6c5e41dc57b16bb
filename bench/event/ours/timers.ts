import { EventLoop } from '@sdrx/event';
import { meter, rounds, spread, task } from '../meter.js';

const HOUR = 3_600_000;

const { work, events, width } = task();

if (work === 'elapse') await rounds(events, elapse);
else if (work === 'cancel') await rounds(events, cancel);
else await again();

async function elapse(count: number): Promise<void> {
  const loop = new EventLoop();
  let left = count;
  const elapsed = () => {
    if (--left === 0) loop.exit();
  };
  for (let index = 0; index < count; index++) loop.time({ after: spread(index) }).subscribe(elapsed);
  await loop.run();
}

/** Set in one iteration, cancelled in the next. */
async function cancel(count: number): Promise<void> {
  const loop = new EventLoop();
  loop.defer().subscribe(() => {
    const timers = Array.from({ length: count }, (_, index) => loop.time({ after: HOUR + spread(index) }).subscribe());
    loop.defer().subscribe(() => {
      for (const timer of timers) timer.unsubscribe();
      loop.exit();
    });
  });
  await loop.run();
}

/** One that is due at once, again and again; the others are idle. */
async function again(): Promise<void> {
  const loop = new EventLoop();
  const tick = meter(events, () => loop.exit());
  for (let index = 1; index < width; index++) loop.time({ after: HOUR + spread(index) }).subscribe();
  const due = loop.time({ after: 0, accuracy: 0 });
  const set = () =>
    due.subscribe(() => {
      set();
      tick();
    });
  set();
  await loop.run();
}
