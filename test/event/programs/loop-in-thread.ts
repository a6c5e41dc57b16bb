// In a worker thread: runs a loop with a source of every kind until each has come, and posts what happened.
import { writeFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { EventLoop } from '@sdrx/event';
import { EventFd, IN_CREATE, spawn } from '@sdrx/linux';
import { merge, type Observable, tap } from 'rxjs';
import { Folder } from '../../support/folder.js';

using loop = new EventLoop();
using event = new EventFd();
using folder = new Folder();
using child = spawn('sh', { args: ['-c', `exit ${workerData}`] });

const refused: string[] = [];
const ofSignals: readonly Observable<unknown>[] = [loop.signal('SIGUSR2'), loop.child(child, { stopped: true })];
for (const source of ofSignals) {
  source.subscribe({ error: (error) => refused.push(String(error)) });
}

const came = new Set<string>();
let status = -1;
const sources: Readonly<Record<string, Observable<unknown>>> = {
  io: loop.io(event.fd).pipe(tap(() => event.take())),
  time: loop.time({ every: 1 }),
  inotify: loop.inotify(folder.path, { mask: IN_CREATE }),
  child: loop.child(child).pipe(
    tap((exit) => {
      status = exit.status;
    }),
  ),
  defer: loop.defer(),
  post: loop.post(),
};
loop.exiting().subscribe(() => came.add('exiting'));
const all = Object.entries(sources).map(([name, source]) => source.pipe(tap(() => came.add(name))));
const program = merge(...all).pipe(
  tap(() => {
    if (came.size === all.length) loop.exit(10 + workerData);
  }),
);
event.add();
const finished = loop.run(program);
writeFileSync(folder.join('created'), '');
const code = await finished;
parentPort?.postMessage({ came: [...came].sort(), refused, status, code });
