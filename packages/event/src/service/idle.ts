import { atLoad, checkArray, checkMethods, checkNumber, checkObject } from '@sdrx/linux';
import { Observable, Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { Serving } from './serving.js';
import { sumOf } from './sum-of.js';

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
 * Comes once, and completes, when there was nothing to do for a time. What takes work from a socket is paused then, and stays so:
 * what comes from then on waits in the socket, for the next process. If something waits there already it is resumed, and the time
 * begins anew.
 * @param work what takes work from sockets, and other counts of what is under way, each the present number and every later one;
 * what comes and goes begins the time anew What pausing, resuming or looking throws arrives as the Observable's error.
 * @throws TypeError or RangeError for what is no time
 */
export function idle(
  loop: EventLoop,
  work: readonly (Serving | Observable<number>)[],
  options: IdleOptions,
): Observable<void> {
  checkMethods('loop', loop, 'an EventLoop', 'time', 'exiting');
  checkArray('work', work, (name, each) =>
    checkMethods(name, isServing(each) ? each.count : each, 'a Serving or an Observable', 'subscribe'),
  );
  checkObject('options', options);
  const { after, minimumUptime = MINIMUM_UPTIME } = options;
  checkNumber('after', after, 0);
  checkNumber('minimumUptime', minimumUptime, 0);
  const servings = work.filter(isServing);
  const underWay = sumOf(work.map((each) => (isServing(each) ? each.count : each)));
  return new Observable<void>((subscriber) => {
    // Written without operators of rxjs, each of which a service would have to load before its first client is answered.
    let waiting = new Subscription();
    subscriber.add(() => waiting.unsubscribe());
    const wait = () => {
      const time = loop.time({ after: remaining(after, minimumUptime), description: 'idle' });
      waiting.add(time.subscribe({ next: look, error: (error) => subscriber.error(error) }));
    };
    const look = () => {
      const here = waiting;
      try {
        if (!isOver(here)) {
          here.add(turnOfNode(loop, wait));
          return;
        }
      } catch (error) {
        subscriber.error(error);
        return;
      }
      subscriber.next();
      subscriber.complete();
    };
    // Whatever was taken before the pause has been counted by now: Node tells of it in the same turn in which it takes it.
    const isOver = (here: Subscription) => {
      for (const serving of servings) serving.pause();
      // What comes or goes meanwhile has begun the time anew.
      if (!here.closed && !servings.some((serving) => serving.waiting)) return true;
      for (const serving of servings) serving.resume();
      return false;
    };
    const counted = underWay.subscribe({
      next: (sum) => {
        waiting.unsubscribe();
        if (subscriber.closed) return;
        waiting = new Subscription();
        if (sum === 0) wait();
      },
      error: (error) => subscriber.error(error),
    });
    subscriber.add(counted);
  });
}

function isServing(work: unknown): work is Serving {
  return typeof (work as Partial<Serving> | null | undefined)?.pause === 'function';
}

/**
 * Calls when Node has looked at its sockets, unless the loop ends before: otherwise a short time might be over again before it took
 * what waits.
 */
function turnOfNode(loop: EventLoop, then: () => void): Subscription {
  // The first one may come in this turn.
  let immediate = atLoad.setImmediate(() => {
    immediate = atLoad.setImmediate(() => {
      turn.unsubscribe();
      then();
    });
  });
  const turn = new Subscription(() => atLoad.clearImmediate(immediate));
  turn.add(loop.exiting().subscribe(() => turn.unsubscribe()));
  return turn;
}

function remaining(after: number, minimumUptime: number): number {
  return Math.max(after, minimumUptime - process.uptime() * 1000);
}
