import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

const POST: SourceKind = { name: 'post', origin: 'post' };

/** `EventLoop.post`, which tells what users need to know. */
export function post(core: Scheduler, options: SourceOptions = {}): Observable<void> {
  return sourceOf<void>(core, POST, options, () => ({}));
}
