/**
 * Obeys signals and knows who sent them: SIGHUP makes it reload, SIGRTMIN+18 carries a number.
 *
 *     node examples/dist/signal.js
 *     kill -s HUP PID
 *     /bin/kill -s RTMIN+18 -q 7 PID
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const reload = loop.signal('SIGHUP').pipe(
  tap(({ pid, uid }) => {
    console.log(`reloading, as process ${pid} of user ${uid} wants`);
  }),
);
const logLevel = loop.signal('SIGRTMIN+18').pipe(
  tap(({ pid, value }) => {
    console.log(`log level ${value}, as process ${pid} wants`);
  }),
);

const finished = loop.run(merge(exitOnSignal(loop), reload, logLevel));
console.log(`process ${process.pid} is ready`);
process.exitCode = await finished;
