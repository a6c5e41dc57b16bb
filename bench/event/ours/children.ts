import { EventLoop } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import { meter, task } from '../meter.js';

const { events, width } = task();
const loop = new EventLoop();
const tick = meter(events, () => loop.exit());

function spawnTrue(): void {
  const process = spawn('/bin/true');
  loop.child(process).subscribe(({ code, status }) => {
    process[Symbol.dispose]();
    if (code !== 'exited' || status !== 0) throw new Error(`/bin/true ${code} with ${status}`);
    spawnTrue();
    tick();
  });
}

for (let index = 0; index < width; index++) spawnTrue();
await loop.run();
