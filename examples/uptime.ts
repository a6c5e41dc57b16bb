import { EventLoop, exitOnSignal, listenFds, notify, watchdog } from '@sdrx/event';
import { accept, bind, listen, unixSocket, write } from '@sdrx/linux';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const [passed] = listenFds();
using listener = passed?.fd ?? unixSocket();
if (!passed) {
  bind(listener.number, process.argv[2] ?? '@uptime');
  listen(listener.number);
}

let served = 0;
const serve = loop.io(listener).pipe(
  tap(() => {
    using client = accept(listener.number);
    if (client) write(client.number, Buffer.from(`up for ${loop.now('boottime')} ms, client ${++served}\n`));
  }),
);
const status = loop.time({ every: 5000, accuracy: 500 }).pipe(tap(() => notify({ STATUS: `${served} clients` })));
const asked = loop.signal('SIGUSR1').pipe(tap(({ pid }) => console.log(`${served} clients, process ${pid}`)));
const farewell = loop.exiting().pipe(tap(() => notify({ STOPPING: 1 })));

const finished = loop.run(merge(exitOnSignal(loop), serve, status, asked, farewell, watchdog(loop)));
notify({ READY: 1 });
process.exitCode = await finished;
