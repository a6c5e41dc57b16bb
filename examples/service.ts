import { EventLoop, exitOnSignal, notify, watchdog } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const finished = loop.run(
  merge(
    exitOnSignal(loop),
    watchdog(loop),
    loop.signal('SIGRTMIN+18').pipe(tap(({ pid, value }) => console.log(`process ${pid} sent ${value}`))),
    loop.time({ clock: 'boottime', every: 60_000, accuracy: 5000 }).pipe(tap(() => console.log('a minute has passed'))),
    loop.exiting().pipe(tap(() => notify({ STOPPING: 1 }))),
  ),
);
notify({ READY: 1 });
process.exitCode = await finished;
