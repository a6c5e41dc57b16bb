import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

/** `EventLoop.exiting`, which tells what users need to know. */
export function exiting(core: LoopCore, options: SourceOptions = {}): Observable<void> {
  return core.source<void>('exit', options, (source) => ({ dispatched: () => source.complete() }));
}
