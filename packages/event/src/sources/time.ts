import { type Clock, checkClock, checkNumber } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Attachment } from '../core/attachment.js';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import { Source, type SourceOptions } from '../core/source.js';
import { sourceOfClass } from '../core/source-observable.js';
import { type Accuracy, cancel, setAgain, type Timer } from '../core/timers.js';

/** How late a timer may be when nothing else is said, in milliseconds. */
const DEFAULT_ACCURACY = 1;

/** The shortest period, a nanosecond: the clocks know nothing shorter. */
const SHORTEST = 1e-6;

/** When a timer elapses: `after` a while or `at` a time, then perhaps `every` so often, or only that. */
export type TimeOptions = TimerOptions & (TimerAfter | TimerAt | TimerEvery);

/** What all timers can be given. */
export interface TimerOptions extends SourceOptions {
  /** The clock it runs on, `monotonic` by default. The alarm clocks wake a suspended machine and need CAP_WAKE_ALARM. */
  readonly clock?: Clock;
  /** How much later it may come so that the machine wakes up less often, in milliseconds; 1 by default. */
  readonly accuracy?: number;
}

/** First from now on. */
export interface TimerAfter {
  /** Milliseconds from now on, 0 or more. */
  readonly after: number;
  /** Not both. */
  readonly at?: undefined;
  /** Then again and again at this distance in milliseconds, more than 0. */
  readonly every?: number | undefined;
}

/** First at a time on the clock. */
export interface TimerAt {
  /** Milliseconds on the clock: since 1970 for the realtime clocks, since boot for the others. */
  readonly at: number;
  /** Not both. */
  readonly after?: undefined;
  /** Then again and again at this distance in milliseconds, more than 0. */
  readonly every?: number | undefined;
}

/** At a distance, the first one from now on. */
export interface TimerEvery {
  /** Milliseconds, more than 0. */
  readonly every: number;
  /** The first comes after one such time. */
  readonly after?: undefined;
  /** The first comes after one such time. */
  readonly at?: undefined;
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

const TIME: SourceKind = { name: 'time', origin: 'kernel' };

/** `EventLoop.time`, which tells what users need to know. */
export function time(core: Scheduler, options: TimeOptions): Observable<TimeEvent> {
  const { after, at, every, accuracy } = options;
  if (options.clock !== undefined) checkClock(options.clock);
  checkDuration('after', after);
  checkDuration('at', at);
  checkDuration('accuracy', accuracy);
  checkDuration('every', every, SHORTEST);
  if (after !== undefined && at !== undefined) throw new RangeError('a timer takes `after` or `at`, not both');
  if (after === undefined && at === undefined && every === undefined) {
    throw new RangeError('a timer takes one of `after`, `at` and `every`');
  }
  return sourceOfClass(TimeSource, core, TIME, options, begin);
}

/** A function of its own, not one for each Observable: of timers there may be very many. */
function begin(source: TimeSource, options: TimeOptions, core: Scheduler): Attachment<TimeEvent> {
  const { clock = 'monotonic', after, at, every, accuracy = DEFAULT_ACCURACY } = options;
  const first = at ?? core.kernel.now(clock) + (after ?? every ?? 0);
  if (every !== undefined) source.grid = { first, every, core };
  core.timers(clock).add(source, first, accuracy);
  core.wake();
  return source;
}

/** Times at a fixed distance. */
interface Grid {
  readonly first: number;
  readonly every: number;
  readonly core: Scheduler;
}

/** One subscription, and the timer that it waits for. */
class TimeSource extends Source<TimeEvent> implements Timer, Attachment<TimeEvent> {
  heapIndex = -1;
  accuracy: Accuracy | undefined = undefined;
  grid: Grid | undefined = undefined;

  elapsed(scheduled: number, now: number, clock: Clock): void {
    this.pend({ clock, scheduled, now });
  }

  dispatched({ clock, scheduled }: TimeEvent): void {
    if (this.grid === undefined) {
      this.complete();
      return;
    }
    if (this.closed) return;
    // Counted from the start: adding up periods would add up their rounding errors.
    const { first, every, core } = this.grid;
    const past = Math.max(
      Math.round((scheduled - first) / every),
      Math.floor((core.kernel.now(clock) - first) / every),
    );
    setAgain(this, first + (past + 1) * every);
  }

  detach(): void {
    cancel(this);
  }
}

function checkDuration(name: string, value: number | undefined, least = 0): void {
  if (value !== undefined) checkNumber(name, value, least, Number.MAX_VALUE, 'a number of milliseconds');
}
