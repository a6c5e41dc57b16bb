import respawn from 'respawn';
import { meter, task } from '../meter.js';

const { work, events } = task();
const tick = meter(events, () => monitor.stop());
const [file, output] = work === 'lines' ? ['/bin/echo', 'pipe'] : ['/bin/true', 'inherit'];

// Its 0 would be a second.
const sleep = () => 0;
const monitor = respawn([file, 'hello'], { maxRestarts: -1, sleep, stdio: ['ignore', output, output] });
monitor.on('stdout', () => {});
monitor.on('stderr', () => {});
monitor.on('exit', tick);
monitor.start();
