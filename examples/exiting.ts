/**
 * Ends in order, whichever part of it was set up first: no new jobs, then those that are left, then the traces.
 *
 *     node examples/dist/exiting.js /tmp/service.pid
 */
import { rmSync, writeFileSync } from 'node:fs';
import { EventLoop, exitOnSignal, notify } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const pidFile = process.argv[2] ?? '/tmp/service.pid';
writeFileSync(pidFile, `${process.pid}\n`);
const removePidFile = loop.exiting({ priority: 100 }).pipe(tap(() => rmSync(pidFile)));

const jobs = ['first job', 'second job'];
const finishJobs = loop.exiting({ priority: 0 }).pipe(
  tap(() => {
    for (const job of jobs) console.log(`finished ${job}`);
  }),
);
const announce = loop.exiting({ priority: -100 }).pipe(
  tap(() => {
    console.log('no new jobs');
    notify({ STOPPING: 1 });
  }),
);

const finished = loop.run(merge(exitOnSignal(loop), removePidFile, finishJobs, announce));
notify({ READY: 1 });
console.log('ready');
process.exitCode = await finished;
