import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

const EXITING: SourceKind = { name: 'exiting', origin: 'exit' };

/** `EventLoop.exiting`, which tells what users need to know. */
export function exiting(core: Scheduler, options: SourceOptions = {}): Observable<void> {
  return sourceOf<void>(core, EXITING, options, (source) => ({ dispatched: () => source.complete() }));
}
