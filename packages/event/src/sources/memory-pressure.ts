import { checkChoice, checkNumber, outOfRange } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';
import { USUAL_THRESHOLD, USUAL_WINDOW } from '../kernel/usual-pressure.js';

export interface MemoryPressureOptions extends SourceOptions {
  /** `some`: a task waits for memory (the default); `full`: all of them do. */
  readonly type?: 'some' | 'full';
  /** How long tasks must have waited within the window, in milliseconds; 200 by default. */
  readonly threshold?: number;
  /** The window, in milliseconds; 2000 by default. Without CAP_SYS_RESOURCE the kernel wants multiples of 2000. */
  readonly window?: number;
}

const MEMORY_PRESSURE: SourceKind = { name: 'memory pressure', origin: 'kernel' };

/** `EventLoop.memoryPressure`, which tells what users need to know. */
export function memoryPressure(core: Scheduler, options: MemoryPressureOptions = {}): Observable<void> {
  const { type, threshold, window, ...rest } = options;
  if (type !== undefined) checkChoice('type', type, ['some', 'full']);
  checkTimes(threshold ?? USUAL_THRESHOLD, window ?? USUAL_WINDOW);
  return sourceOf<void>(core, MEMORY_PRESSURE, rest, (source) =>
    core.kernel.memoryPressure({ type, threshold, window }, source),
  );
}

function checkTimes(threshold: number, window: number): void {
  checkNumber('window', window, 500, 10_000, 'a number of milliseconds');
  checkNumber('threshold', threshold, Number.MIN_VALUE, Number.MAX_VALUE, 'a number of milliseconds');
  if (threshold > window) throw outOfRange('threshold', `at most the window's ${window} ms`, threshold);
}
