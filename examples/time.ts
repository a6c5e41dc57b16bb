/**
 * Works by the clock on the wall: says the time at each full second, and ends at a time that it is given, even if the
 * clock is set meanwhile.
 *
 *     node examples/dist/time.js 2030-01-01T00:00:00Z
 */
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, tap } from 'rxjs';

const loop = new EventLoop();
const nextSecond = Math.ceil(loop.now('realtime') / 1000) * 1000;
const closingTime = Date.parse(process.argv[2] ?? '2030-01-01T00:00:00Z');

// Up to 50 ms late, so that one wake-up may serve other timers, too; but the times it names never drift.
const second = loop.time({ clock: 'realtime', at: nextSecond, every: 1000, accuracy: 50 }).pipe(
  tap(({ scheduled, now }) => {
    console.log(`${new Date(scheduled).toISOString()}, noticed ${(now - scheduled).toFixed(3)} ms later`);
  }),
);
const closing = loop.time({ clock: 'realtime', at: closingTime }).pipe(tap(() => loop.exit()));

process.exitCode = await loop.run(merge(exitOnSignal(loop), second, closing));
