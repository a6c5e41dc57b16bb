import type { EventLoop } from '@sdrx/event';
import { filter, map, type Observable } from 'rxjs';
import type { NamespaceLiveness } from './namespace-liveness.js';
import type { Registry } from './registry.js';

/** How often the registered namespaces are looked after, and how much later it may be, in milliseconds. */
const EVERY = 2000;
const ACCURACY = 500;
const FORSAKEN_EVERY = 1500;

/** Finds registered namespaces that died, on a slow timer, where the kernel does not report it. */
export function probeNamespaces(
  loop: EventLoop,
  registry: Registry,
  liveness: NamespaceLiveness,
): Observable<readonly number[]> {
  return loop.time({ clock: 'monotonic', every: EVERY, accuracy: ACCURACY, description: 'namespace probe' }).pipe(
    map(() => liveness.dead(registry.inodes())),
    filter((inodes) => inodes.length > 0),
  );
}

/** When to look for namespaces that only what is kept for them holds alive: often enough for the other look to follow. */
export function forsakenProbe(loop: EventLoop): Observable<unknown> {
  return loop.time({
    clock: 'monotonic',
    every: FORSAKEN_EVERY,
    accuracy: ACCURACY,
    description: 'forsaken namespaces',
  });
}
