import { type Clock, now } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';
import type { Timer } from '../timers.js';

/** How late a timer may be when nothing else is said, in milliseconds. */
const DEFAULT_ACCURACY = 1;

/** The shortest period, a nanosecond: the clocks know nothing shorter. */
const SHORTEST = 1e-6;

export interface TimeOptions extends SourceOptions {
  /** The clock it runs on, `monotonic` by default. The alarm clocks wake a suspended machine and need CAP_WAKE_ALARM. */
  readonly clock?: Clock;
  /** Milliseconds from now on, 0 or more. */
  readonly after?: number;
  /** Milliseconds on the clock: since 1970 for the realtime clocks, since boot for the others. */
  readonly at?: number;
  /** Again and again at this distance in milliseconds, more than 0, first after one such time unless `after` or `at` says when. */
  readonly every?: number;
  /** How much later it may come so that the machine wakes up less often, in milliseconds; 1 by default. */
  readonly accuracy?: number;
}

/** A time that has come. */
export interface TimeEvent {
  /** The clock it is a time on. */
  readonly clock: Clock;
  /** When it was due, in milliseconds on the clock. */
  readonly scheduled: number;
  /** When the loop found it due, in milliseconds on the clock. */
  readonly now: number;
}

/**
 * Comes once, at a time on a clock, and completes; or again and again with `every`, which keeps to its grid: times that
 * have passed when the observer is done are left out, and its next one is the first that lies ahead. sd_event_add_time(3).
 *
 * Throws RangeError for times that are no numbers or negative, for both `after` and `at` or none of the three.
 * Fails with EPERM for an alarm clock without CAP_WAKE_ALARM.
 */
export function time(core: LoopCore, options: TimeOptions): Observable<TimeEvent> {
  const { clock = 'monotonic', after, at, every, accuracy = DEFAULT_ACCURACY, ...rest } = options;
  requireDuration({ after, at, accuracy });
  requireDuration({ every }, SHORTEST);
  if (after !== undefined && at !== undefined) throw new RangeError('a timer takes `after` or `at`, not both');
  if (after === undefined && at === undefined && every === undefined) {
    throw new RangeError('a timer takes one of `after`, `at` and `every`');
  }
  return core.source<TimeEvent>('kernel', rest, (source) => {
    const timers = core.timers(clock);
    const elapsed = ({ at: scheduled }: Timer): void => source.pend({ clock, scheduled, now: now(clock) });
    const start = at ?? now(clock) + (after ?? every ?? 0);
    let timer = timers.add(start, accuracy, elapsed);
    let period = 0;
    core.wake();
    source.dispatched = () => {
      if (every === undefined) return source.complete();
      // Counted from the start: adding up periods would add up their rounding errors.
      period = Math.max(period, Math.floor((now(clock) - start) / every)) + 1;
      timer = timers.add(start + period * every, accuracy, elapsed);
    };
    return () => {
      source.dispatched = undefined;
      timers.remove(timer);
    };
  });
}

function requireDuration(durations: Record<string, number | undefined>, least = 0): void {
  for (const [name, value] of Object.entries(durations)) {
    if (value !== undefined && !(value >= least && Number.isFinite(value))) {
      throw new RangeError(`\`${name}\` must be a number of milliseconds of ${least} or more, not ${value}`);
    }
  }
}
