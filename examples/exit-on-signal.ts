/**
 * Ends with code 0 on the signals that it is told, with Ctrl-C as with the terminal's hang-up, and cleans up before.
 *
 *     node examples/dist/exit-on-signal.js
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const end = exitOnSignal(loop, ['SIGINT', 'SIGTERM', 'SIGHUP']).pipe(
  tap(({ signo, pid }) => console.log(`signal ${signo} of process ${pid} ends it`)),
);
const farewell = loop.exiting().pipe(tap(() => console.log('clean')));

const finished = loop.run(merge(end, farewell));
console.log('ready');
process.exitCode = await finished;
