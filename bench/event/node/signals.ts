// Standard signals only, of which no more than one is pending at a time: one at a time.
import { meter, task } from '../meter.js';

const { events } = task();
// A listener for signals does not keep Node alive.
const alive = setInterval(() => {}, 60_000);
let on = true;
const tick = meter(events, () => {
  on = false;
  clearInterval(alive);
});
const raise = () => process.kill(process.pid, 'SIGUSR2');

process.on('SIGUSR2', () => {
  tick();
  if (on) raise();
});
raise();
