import { checkMethods } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Marble } from './marbles.js';
import type { VirtualLoop } from './virtual-loop.js';

/** Times of fractions are sums, which are a little off. */
const PER_MILLISECOND = 1e6;

/**
 * Subscribes to an Observable, and records in the time of a virtual loop what it brings, its error, too. What comes out is what
 * `marbles` makes of a diagram, to be compared with that.
 * @returns what has come so far; it grows
 * @throws TypeError
 * @example
 * const ticks = record(loop, loop.time({ every: 10, accuracy: 0 }).pipe(take(2), map(() => 't')));
 * await loop.advance(20);
 * assert.deepEqual(ticks, marbles('10ms t 9ms (t|)'));
 */
export function record<T>(loop: VirtualLoop, observable: Observable<T>): readonly Marble<T>[] {
  checkMethods('loop', loop, 'a VirtualLoop', 'time', 'now');
  checkMethods('observable', observable, 'an Observable', 'subscribe', 'pipe');
  const recorded: Marble<T>[] = [];
  const begin = loop.now();
  const now = () => Math.round((loop.now() - begin) * PER_MILLISECOND) / PER_MILLISECOND;
  observable.subscribe({
    next: (value) => recorded.push({ at: now(), kind: 'next', value }),
    error: (error) => recorded.push({ at: now(), kind: 'error', error }),
    complete: () => recorded.push({ at: now(), kind: 'complete' }),
  });
  return recorded;
}
