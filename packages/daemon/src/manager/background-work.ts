import type { EventLoop } from '@sdrx/event';
import { merge, type Observable, switchMap, tap } from 'rxjs';
import { Ledger } from '../limits/ledger.js';
import type { Limits } from '../limits/limits.js';
import type { Releases } from '../namespace/releases.js';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Log } from '../program/log.js';
import { releaseMemory } from '../program/memory.js';
import { MemoryAtRest } from '../program/memory-at-rest.js';
import type { ExclusiveWork } from './exclusive-work.js';
import type { ManagerLock } from './manager-lock.js';
import { releaseFormer } from './release-former.js';
import type { Reload } from './reload.js';
import { goWithout, tryAgain } from './source-failures.js';

export interface BackgroundParts {
  readonly loop: EventLoop;
  readonly lock: ManagerLock;
  readonly exclusive: ExclusiveWork;
  readonly releases: Releases;
  readonly pool: WorkerPool;
  readonly reload: Reload;
  readonly limits: Limits;
  readonly log: Log;
}

/** What has been given back once is not there again a moment later, and to look for more of it takes the processor. */
const ONCE_IN_A_WHILE = { interval: 10_000, burst: 1 };

/** What the process does from its start to its end, whichever process is the manager. */
export function backgroundWork(parts: BackgroundParts): Observable<unknown> {
  const { loop, exclusive, releases, log } = parts;
  return merge(
    exclusive.run(),
    loop.memoryPressure({ ratelimit: ONCE_IN_A_WHILE }).pipe(
      tap(() => log.debug('memory is short, giving some back')),
      tap(releaseMemory),
      goWithout(log, 'memory pressure'),
    ),
    new MemoryAtRest(loop).run.pipe(goWithout(log, 'memory at rest')),
    releases.run().pipe(tryAgain(log, 'release of namespaces')),
    afterFailedReload(parts),
  );
}

/** Deals with what a process has left that was to take over, and has failed. */
function afterFailedReload({ loop, lock, releases, pool, reload, limits, log }: BackgroundParts): Observable<never> {
  return reload.failed.pipe(
    tap(() => pool.spareStrangers(limits.callTime)),
    tap(() => Ledger.removeOthers(lock.runtimeDirectory)),
    // It may have been told of deaths.
    switchMap(() => releaseFormer(loop, releases, [], log)),
  );
}
