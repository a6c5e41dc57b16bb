import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

/** `EventLoop.post`, which tells what users need to know. */
export function post(core: LoopCore, options: SourceOptions = {}): Observable<void> {
  return core.source<void>('post', options, () => ({}));
}
