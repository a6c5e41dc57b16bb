/**
 * Keeps a cache as long as memory is plentiful, and drops it when it is short.
 *
 *     node examples/dist/memory-pressure.js
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { catchError, EMPTY, merge, tap } from 'rxjs';

const loop = new EventLoop();
const cache = new Map<number, Buffer>();

const fill = loop.time({ after: 0, every: 100 }).pipe(tap((_) => cache.set(cache.size, Buffer.alloc(4096))));
const drop = loop.memoryPressure().pipe(
  tap(() => {
    console.log(`dropping ${cache.size} pages`);
    cache.clear();
  }),
  // Where nothing tells of memory pressure the cache is what it is.
  catchError((error) => {
    console.log(`the cache stays: ${error.message}`);
    return EMPTY;
  }),
);
const finished = loop.run(merge(exitOnSignal(loop), fill, drop));
console.log('ready');
process.exitCode = await finished;
