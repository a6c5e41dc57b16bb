import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

/** Comes once, when the loop exits, before `run` resolves, and completes; by priority. sd_event_add_exit(3). */
export function exiting(core: LoopCore, options: SourceOptions = {}): Observable<void> {
  return core.source<void>('exit', options, (source) => ({ dispatched: () => source.complete() }));
}
