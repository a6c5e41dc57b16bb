// probes.js [loop] [node]: how long things take to come, in a process whose loop, or Node itself, or both are busy.
import { setTimeout as sleep } from 'node:timers/promises';
import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { take, tap } from 'rxjs';
import { socketPair } from '../socket-pair.js';

/** In milliseconds. */
const WARM_UP = 100;
const DURATION = 400;

const busy = process.argv.slice(2);
const loop = new EventLoop();
const counts = { loop: 0, node: 0 };

function keepNodeBusy(): void {
  counts.node++;
  setImmediate(keepNodeBusy);
}
if (busy.includes('node')) keepNodeBusy();
if (busy.includes('loop')) loop.defer({ repeat: true }).subscribe(() => counts.loop++);

const eventfd = new EventFd();
const [reader, writer] = await socketPair();

/** Does something, says when it should come (in milliseconds from now, 0 by default), and says when it came. */
type Probe = (start: (after?: number) => void, done: () => void) => void;

const probes: Readonly<Record<string, Probe>> = {
  'setTimeout of 1 ms': (start, done) => {
    start(1);
    setTimeout(done, 1);
  },
  setImmediate: (start, done) => {
    start();
    setImmediate(done);
  },
  'byte to a socket': (start, done) => {
    reader.once('data', done);
    start();
    writer.write('x');
  },
  'promise, by a handler': (start, done) => {
    loop.defer().subscribe(() => {
      start();
      Promise.resolve().then(done);
    });
  },
  'nextTick, by a handler': (start, done) => {
    loop.defer().subscribe(() => {
      start();
      process.nextTick(done);
    });
  },
  'loop.time of 1 ms': (start, done) => {
    start(1);
    loop.time({ after: 1, accuracy: 0 }).subscribe(done);
  },
  'loop.io': (start, done) => {
    loop
      .io(eventfd.fd)
      .pipe(
        tap(() => eventfd.take()),
        take(1),
      )
      .subscribe(done);
    start();
    eventfd.add();
  },
  'loop.defer': (start, done) => {
    start();
    loop.defer().subscribe(done);
  },
};

/** Probes again and again, with a pause after each. @returns the delays in microseconds */
async function delays(probe: Probe, end: number): Promise<number[]> {
  const result: number[] = [];
  while (performance.now() < end) {
    await new Promise<void>((resolve) => {
      let due = 0;
      probe(
        (after = 0) => {
          due = performance.now() + after;
        },
        () => {
          result.push((performance.now() - due) * 1000);
          resolve();
        },
      );
    });
    await sleep(1);
  }
  return result;
}

const finished = loop.run();
await Promise.all(Object.values(probes).map((probe) => delays(probe, performance.now() + WARM_UP)));
const before = { ...counts };
const end = performance.now() + DURATION;
const results = await Promise.all(
  Object.entries(probes).map(async ([name, probe]) => [name, await delays(probe, end)] as const),
);
const rate = (whose: 'loop' | 'node') => ((counts[whose] - before[whose]) / DURATION) * 1000;
console.log(JSON.stringify({ delays: Object.fromEntries(results), rates: { loop: rate('loop'), node: rate('node') } }));

loop.exit();
await finished;
process.exit();
