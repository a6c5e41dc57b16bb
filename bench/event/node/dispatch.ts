import { meter, task } from '../meter.js';

const { work, events } = task();
let on = true;
const tick = meter(events, () => {
  on = false;
});

function immediate(): void {
  if (work === 'post') process.nextTick(tick);
  else tick();
  if (on) setImmediate(immediate);
}
setImmediate(immediate);
