import { checkBoolean } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { LoopCore } from '../loop-core.js';
import type { SourceOptions } from '../source.js';

export interface DeferOptions extends SourceOptions {
  /** Comes on every iteration, not only once. */
  readonly repeat?: boolean;
}

/** `EventLoop.defer`, which tells what users need to know. */
export function defer(core: LoopCore, { repeat = false, ...options }: DeferOptions = {}): Observable<void> {
  checkBoolean('repeat', repeat);
  return core.source<void>('defer', options, (source) => {
    source.pend();
    return { dispatched: () => (repeat ? source.pend() : source.complete()) };
  });
}
