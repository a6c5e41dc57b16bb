import { spawn } from 'node:child_process';
import { meter, task } from '../meter.js';

const { work, events } = task();
let on = true;
const tick = meter(events, () => {
  on = false;
});

function start(): void {
  const child =
    work === 'lines'
      ? spawn('/bin/echo', ['hello'], { stdio: ['ignore', 'pipe', 'pipe'] })
      : spawn('/bin/true', ['hello'], { stdio: ['ignore', 'inherit', 'inherit'] });
  child.stdout?.setEncoding('utf8').on('data', () => {});
  child.stderr?.setEncoding('utf8').on('data', () => {});
  // With all of its output, as ours.
  child.on('close', () => {
    if (on) start();
    tick();
  });
}
start();
