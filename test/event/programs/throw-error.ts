// Lets an observer fail in the way that the first argument names, and prints what came of it as JSON. With a second
// argument nobody catches the error.
import { EventLoop } from '@sdrx/event';
import { eventfd, isSystemError } from '@sdrx/linux';
import { map, share, tap } from 'rxjs';

const [, , way = '', uncaughtToo] = process.argv;
const uncaught: string[] = [];
let thrower = 0;

function fail(): never {
  thrower++;
  throw new Error(`thrown by ${way}`);
}

if (uncaughtToo === undefined) {
  process.on('uncaughtException', (error) => {
    uncaught.push(isSystemError(error) ? String(error.code) : error.message);
  });
}

const loop = new EventLoop();
const ready = eventfd(1);
const failing = loop.io(ready.number);
const ways: Readonly<Record<string, () => unknown>> = {
  next: () => failing.subscribe(fail),
  observer: () => failing.subscribe({ next: fail, error: () => process.stdout.write('handled') }),
  pipe: () => failing.pipe(map(fail)).subscribe(() => process.stdout.write('passed on')),
  piped: () => failing.pipe(map(String), tap()).subscribe(fail),
  shared: () => failing.pipe(share()).subscribe(fail),
  subscribe: () => loop.io(-1).subscribe(fail),
  error: () => loop.io(-1).subscribe({ error: fail }),
  complete: () => loop.defer().subscribe({ complete: fail }),
  once: () => loop.time({ after: 0 }).subscribe(fail),
};
ways[way]?.();
let others = 0;
// Later than the one that fails, and often enough that it would come again if it could.
loop.io(ready.number, { priority: 1 }).subscribe(() => {
  if (++others === 200) loop.exit(5);
});
// The failing one of priority 0 would keep the others from their turn for ever: a chance to notice.
loop.time({ after: 60_000, priority: -1 }).subscribe(() => loop.exit(6));
const code = await loop.run();
if (uncaughtToo === undefined) {
  process.stdout.write(JSON.stringify({ uncaught, thrower, others: others === 200, code }));
}
ready.close();
