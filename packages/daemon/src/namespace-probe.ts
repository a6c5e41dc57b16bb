import type { EventLoop } from '@sdrx/event';
import { exhaustMap, map, type Observable, tap } from 'rxjs';
import type { NamespaceLiveness } from './namespace-liveness.js';
import { dropKept, type NamespaceTraces } from './release.js';
import type { Releases } from './releases.js';

/** How often the registered namespaces are looked after, and how much later it may be, in milliseconds. */
const EVERY = 2000;
const ACCURACY = 500;
const FORSAKEN_EVERY = 1500;

/** Finds registered namespaces that died, on a slow timer, where the kernel does not report it. */
export function probeNamespaces(loop: EventLoop, releases: Releases): Observable<void> {
  return loop
    .time({ clock: 'monotonic', every: EVERY, accuracy: ACCURACY, description: 'namespace probe' })
    .pipe(exhaustMap(() => releases.sweep()));
}

/**
 * Where death is found by looking: gives up the mounts of namespaces that nobody else is found to use, as one may be all
 * that holds its namespace alive. Should somebody use it all the same, nothing is lost: no one enforces anything there. Often
 * enough for the other look to follow.
 */
export function dropForsaken(
  loop: EventLoop,
  liveness: NamespaceLiveness,
  traces: NamespaceTraces,
): Observable<unknown> {
  return loop
    .time({ clock: 'monotonic', every: FORSAKEN_EVERY, accuracy: ACCURACY, description: 'forsaken namespaces' })
    .pipe(
      exhaustMap(() => liveness.forsaken(loop)),
      tap((forsaken) => {
        for (const inode of forsaken) {
          dropKept(inode, traces);
          liveness.trust(inode);
        }
      }),
      map(() => undefined),
    );
}
