import { spawn } from 'node:child_process';
import { meter, task } from '../meter.js';

const { events, width } = task();
let on = true;
const tick = meter(events, () => {
  on = false;
});

function spawnTrue(): void {
  // 'inherit' is the least work for Node, and what the others do.
  spawn('/bin/true', { stdio: 'inherit' }).on('exit', (status) => {
    if (status !== 0) throw new Error(`/bin/true ended with ${status}`);
    if (on) spawnTrue();
    tick();
  });
}
for (let index = 0; index < width; index++) spawnTrue();
