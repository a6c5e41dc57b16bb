import { checkArray, checkMethods, checkNumber, checkObject } from '@sdrx/linux';
import { combineLatest, map, NEVER, type Observable, switchMap, take } from 'rxjs';
import type { EventLoop } from '../loop.js';

/** How often a service manager starts a service without taking it for one that fails: 5 times in 10 s. systemd.unit(5) */
const MINIMUM_UPTIME = 2500;

/** When a service counts as idle. */
export interface IdleOptions {
  /** How long there must have been nothing to do, in milliseconds. */
  readonly after: number;
  /**
   * How long the process must have run at least, in milliseconds, by default 2,500: a service that is started for each connection
   * and leaves at once would meet the start limit of systemd, which then refuses to start it.
   */
  readonly minimumUptime?: number;
}

/**
 * Comes once, and completes, when there was nothing to do for a time.
 * @param counts of what is under way, each the present number and every later one; what comes and goes begins the time anew
 * Throws TypeError or RangeError for what is no time.
 */
export function idle(loop: EventLoop, counts: readonly Observable<number>[], options: IdleOptions): Observable<void> {
  checkMethods('loop', loop, 'an EventLoop', 'time');
  checkArray('counts', counts, (name, count) => checkMethods(name, count, 'an Observable', 'subscribe'));
  checkObject('options', options);
  const { after, minimumUptime = MINIMUM_UPTIME } = options;
  checkNumber('after', after, 0);
  checkNumber('minimumUptime', minimumUptime, 0);
  return combineLatest([...counts]).pipe(
    map((numbers) => numbers.reduce((sum, number) => sum + number, 0)),
    switchMap((sum) =>
      sum === 0 ? loop.time({ after: remaining(after, minimumUptime), description: 'idle' }) : NEVER,
    ),
    take(1),
    map(() => undefined),
  );
}

function remaining(after: number, minimumUptime: number): number {
  return Math.max(after, minimumUptime - process.uptime() * 1000);
}
