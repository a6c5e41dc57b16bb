import type { EventLoop } from '@sdrx/event';
import { map, type Observable } from 'rxjs';
import type { Registry } from './registry.js';

/**
 * Does something short with the registry's lock held, as soon as it can be had; emits what it returns. Fails with EBUSY when
 * that takes too long.
 */
export function locked<T>(loop: EventLoop, registry: Registry, body: () => T): Observable<T> {
  return registry.acquire(loop).pipe(map(body));
}
