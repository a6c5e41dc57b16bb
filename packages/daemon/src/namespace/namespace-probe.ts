import type { EventLoop } from '@sdrx/event';
import { exhaustMap, type Observable } from 'rxjs';
import type { Releases } from './releases.js';

/** How often the registered namespaces are looked after, and how much later it may be, in milliseconds. */
const EVERY = 2000;
const ACCURACY = 500;

/** Finds registered namespaces that died, on a slow timer, where the kernel does not report it. */
export function probeNamespaces(loop: EventLoop, releases: Releases): Observable<void> {
  return loop
    .time({ clock: 'monotonic', every: EVERY, accuracy: ACCURACY, description: 'namespace probe' })
    .pipe(exhaustMap(() => releases.sweep()));
}
