import { setImmediate } from 'node:timers/promises';
import { rounds, spread, task } from '../meter.js';

const HOUR = 3_600_000;

const { work, events } = task();
await rounds(events, work === 'elapse' ? elapse : cancel);

function elapse(count: number): Promise<void> {
  return new Promise((resolve) => {
    let left = count;
    const elapsed = () => {
      if (--left === 0) resolve();
    };
    for (let index = 0; index < count; index++) setTimeout(elapsed, spread(index));
  });
}

/** Set in one iteration, cancelled in the next. */
async function cancel(count: number): Promise<void> {
  const timers = Array.from({ length: count }, (_, index) => setTimeout(() => {}, HOUR + spread(index)));
  await setImmediate();
  for (const timer of timers) clearTimeout(timer);
}
