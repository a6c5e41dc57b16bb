import { checkMethods, checkObject } from '@sdrx/linux';
import { map, Observable } from 'rxjs';
import { checkSourceOptions } from '../core/check-options.js';
import type { SourceOptions } from '../core/source.js';
import { Decimal, readEnvironment } from '../kernel/environment.js';
import type { EventLoop } from '../loop.js';
import type { RestartSystem } from '../restart/restart-system.js';
import { notify } from './notify.js';

/**
 * How long the service manager waits for a sign of life, in milliseconds: WATCHDOG_USEC, unless WATCHDOG_PID says that it is
 * meant for another process. sd_watchdog_enabled(3).
 * @throws EnvironmentError
 */
export function watchdogTimeout(environment: NodeJS.ProcessEnv = process.env): number | undefined {
  checkObject('environment', environment);
  return timeoutOf(environment, process.pid);
}

function timeoutOf(environment: NodeJS.ProcessEnv, own: number): number | undefined {
  const pid = readEnvironment(environment, 'WATCHDOG_PID', Decimal);
  // What is meant for another process may be malformed.
  if (pid !== undefined && pid !== own) return undefined;
  const microseconds = readEnvironment(environment, 'WATCHDOG_USEC', Decimal);
  return microseconds === undefined || microseconds === 0 ? undefined : microseconds / 1e3;
}

/**
 * Gives the service manager a sign of life at half of the time that it waits, from the loop itself: a loop that hangs
 * gives none. Comes after each sign with its number, from 0 on; completes at once when no watchdog is on.
 * sd_event_set_watchdog(3)
 *
 * @example
 * // With WatchdogSec= in its unit the service is restarted when its loop hangs.
 * await loop.run(merge(exitOnSignal(loop), watchdog(loop)));
 */
export function watchdog(loop: EventLoop, options: SourceOptions = {}): Observable<number> {
  checkMethods('loop', loop, 'an EventLoop', 'time');
  checkObject('options', options);
  checkSourceOptions(options);
  return signsOfLife(loop, { notify, pid: process.pid, environment: process.env }, options);
}

/** The same for a process that may be a simulated one. */
export function signsOfLife(
  loop: EventLoop,
  process: Pick<RestartSystem, 'notify' | 'pid' | 'environment'>,
  options: SourceOptions = {},
): Observable<number> {
  return new Observable((subscriber) => {
    const timeout = timeoutOf(process.environment, process.pid);
    if (timeout === undefined) {
      subscriber.complete();
      return undefined;
    }
    const every = timeout / 2;
    // A quarter before the middle, a quarter after it: room to wake up together with other timers.
    const times = loop.time({ clock: 'monotonic', after: 0, every, accuracy: timeout / 4, ...options });
    const sign = (_: unknown, index: number) => {
      process.notify({ WATCHDOG: 1 });
      return index;
    };
    return times.pipe(map(sign)).subscribe(subscriber);
  });
}
