import type { EventLoop } from '@sdrx/event';
import { defer, ignoreElements, type Observable, retry, switchMap } from 'rxjs';
import type { Releases } from '../namespace/releases.js';
import type { Log } from '../program/log.js';
import { goWithout } from './source-failures.js';

/** How often dead namespaces are searched for if that fails, and how long after that, in milliseconds. */
const SEARCHES = 3;
const SEARCH_RETRY = 100;

/**
 * Releases what died while no daemon ran: registered namespaces, and those of which the fd store has something although nobody has
 * registered them. Completes when that is done.
 * @param stored the inodes of the namespaces in the fd store
 */
export function releaseFormer(
  loop: EventLoop,
  releases: Releases,
  stored: readonly number[],
  log: Log,
): Observable<never> {
  return defer(() => {
    releases.addStrays(stored);
    return releases.sweep();
  }).pipe(
    // Where the kernel tells of deaths, there is no other search before the next start.
    retry({ count: SEARCHES - 1, delay: () => loop.time({ after: SEARCH_RETRY, description: 'search again' }) }),
    switchMap(() => releases.settled()),
    goWithout(log, 'search for dead namespaces'),
    ignoreElements(),
  );
}
