/**
 * Gives the service manager its signs of life while a slow job runs beside the loop: SIGUSR1 starts one, and one at a time
 * runs. Only if the loop itself hangs do the signs stop, and the manager starts the service anew.
 *
 *     systemd-run --same-dir --service-type=notify -p WatchdogSec=10 node examples/dist/watchdog.js
 */
import { EventLoop, exitOnSignal, notify, watchdog } from '@sdrx/event';
import { spawn } from '@sdrx/linux';
import { concatMap, merge, tap } from 'rxjs';

const loop = new EventLoop();
const jobs = loop.signal('SIGUSR1').pipe(
  concatMap(({ pid }) => {
    notify({ STATUS: `works for process ${pid}` });
    const job = spawn('sleep', { args: ['1'] });
    return loop.child(job, { own: true });
  }),
  tap(({ code, status }) => notify({ STATUS: `${code} with ${status}` })),
);
const finished = loop.run(merge(exitOnSignal(loop), jobs, watchdog(loop)));
notify({ READY: 1, STATUS: 'idle' });
console.log(`process ${process.pid} is ready`);
process.exitCode = await finished;
