import { concat, EMPTY, merge, mergeMap, type Observable, share, takeUntil } from 'rxjs';
import type { WorkerPool } from '../pool/worker-pool.js';
import { type ManagerWorkParts, managerWork } from './manager-work.js';
import type { PassedFds } from './passed-fds.js';
import { releaseFormer } from './release-former.js';

/** How long the start may wait until dead namespaces are released, in milliseconds; the rest is released afterwards. */
const START_PATIENCE = 5000;

export interface ServeParts extends ManagerWorkParts {
  readonly pool: WorkerPool;
  readonly passed: PassedFds;
}

/**
 * Keeps workers, becomes the manager, and does the manager's work until another process takes over. The workers go on then; to
 * unsubscribe ends them.
 */
export function serve(parts: ServeParts): Observable<unknown> {
  const { loop, former, passed, pool, releases, reload, succession, log } = parts;
  return succession.prepare().pipe(
    mergeMap(() => {
      const released =
        former === undefined ? releaseFormer(loop, releases, passed.namespaces, log).pipe(share()) : EMPTY;
      // Whoever waits for the start waits for the release, too, for a while.
      const late = loop.time({ after: START_PATIENCE, description: 'release at the start' });
      const begun = former === undefined ? released.pipe(takeUntil(late)) : succession.takeCharge(former);
      return merge(pool.run(), released, concat(begun, managerWork(parts).pipe(takeUntil(reload.succeeded))));
    }),
  );
}
