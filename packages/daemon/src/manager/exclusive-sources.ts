import type { UsernsRestrict } from '@sdrx/bpf';
import type { EventLoop } from '@sdrx/event';
import { EMPTY, merge, type Observable, tap } from 'rxjs';
import type { Releases } from '../namespace/releases.js';
import type { Log } from '../program/log.js';
import type { FdStore } from './fd-store.js';
import { tryAgain } from './source-failures.js';

export interface ExclusiveParts {
  readonly loop: EventLoop;
  readonly restrict: UsernsRestrict | undefined;
  readonly releases: Releases;
  readonly store: FdStore | undefined;
  readonly log: Log;
}

/**
 * What only one process may read, as each message is there once: the kernel's of namespaces that died, and those of workers to the fd
 * store. What is read is dealt with at once; see `ExclusiveWork`.
 */
export function exclusiveSources({ loop, restrict, releases, store, log }: ExclusiveParts): Observable<unknown> {
  const deaths = restrict?.dead.pipe(
    tap((inodes) => releases.addDead(inodes)),
    tryAgain(log, 'release of namespaces'),
  );
  const stored = store?.run(loop).pipe(tryAgain(log, 'fd store'));
  return merge(deaths ?? EMPTY, stored ?? EMPTY);
}
