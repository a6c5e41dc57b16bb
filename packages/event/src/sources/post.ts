import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

/** Comes after every iteration in which a source of another kind ran. sd_event_add_post(3). */
export function post(core: LoopCore, options: SourceOptions = {}): Observable<void> {
  return core.source<void>('post', options, () => ({}));
}
