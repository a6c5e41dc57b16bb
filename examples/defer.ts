/**
 * Does a long computation in small pieces, whenever there is nothing more important to do, so that it hears signals
 * meanwhile: SIGUSR1 asks how far it is.
 *
 *     node examples/dist/defer.js 100000000
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, takeWhile, tap } from 'rxjs';

const loop = new EventLoop();
const wanted = Number(process.argv[2] ?? 100_000_000);
let points = 0;
let inside = 0;

const computation = loop.defer({ repeat: true, priority: 10 }).pipe(
  tap(() => {
    for (const end = points + 1000; points < end; points++) {
      if (Math.random() ** 2 + Math.random() ** 2 < 1) inside++;
    }
  }),
  takeWhile(() => points < wanted),
  tap({ complete: () => loop.exit() }),
);
const question = loop.signal('SIGUSR1').pipe(tap(() => console.log(`${points} of ${wanted} points`)));

const finished = loop.run(merge(exitOnSignal(loop), computation, question));
console.log(`process ${process.pid} computes`);
process.exitCode = await finished;
console.log(`by ${points} points pi is ${(4 * inside) / points}`);
