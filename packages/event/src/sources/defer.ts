import { checkBoolean } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { SourceKind } from '../core/dispatchable.js';
import type { Scheduler } from '../core/scheduler.js';
import type { SourceOptions } from '../core/source.js';
import { sourceOf } from '../core/source-observable.js';

export interface DeferOptions extends SourceOptions {
  /** Comes on every iteration, not only once. */
  readonly repeat?: boolean;
}

const DEFER: SourceKind = { name: 'defer', origin: 'defer' };

/** `EventLoop.defer`, which tells what users need to know. */
export function defer(core: Scheduler, { repeat = false, ...options }: DeferOptions = {}): Observable<void> {
  checkBoolean('repeat', repeat);
  return sourceOf<void>(core, DEFER, options, (source) => {
    source.pend();
    return { dispatched: () => (repeat ? source.pend() : source.complete()) };
  });
}
