import { type EventLoop, type Predecessor, watchdog } from '@sdrx/event';
import { defer, EMPTY, merge, type Observable, tap } from 'rxjs';
import { type MetricsParts, metricsWork } from '../metrics/metrics-work.js';
import type { NamespaceLiveness } from '../namespace/namespace-liveness.js';
import { probeNamespaces } from '../namespace/namespace-probe.js';
import type { Releases } from '../namespace/releases.js';
import type { Log } from '../program/log.js';
import { releaseFormer } from './release-former.js';
import type { Reload } from './reload.js';
import { announce, type ServiceStatus } from './service-status.js';
import type { Shutdown } from './shutdown.js';
import { goWithout, tryAgain } from './source-failures.js';
import type { Succession } from './succession.js';

export interface ManagerWorkParts extends ServiceStatus, MetricsParts {
  readonly loop: EventLoop;
  readonly former: Predecessor | undefined;
  /** Set where the kernel does not report the death of namespaces. */
  readonly liveness: NamespaceLiveness | undefined;
  readonly releases: Releases;
  readonly reload: Reload;
  readonly shutdown: Shutdown;
  readonly succession: Succession;
  readonly log: Log;
}

/** What the process does only while it is the manager; it says first that it is. */
export function managerWork(parts: ManagerWorkParts): Observable<unknown> {
  const { loop, former, liveness, releases, reload, log } = parts;
  return merge(
    call(() => announce(parts, former)),
    watchdog(loop).pipe(goWithout(log, 'watchdog')),
    liveness === undefined ? EMPTY : probeNamespaces(loop, releases).pipe(tryAgain(log, 'search for dead namespaces')),
    // The former manager may have ended before it had released all of which it was told.
    former === undefined ? EMPTY : releaseFormer(loop, releases, [], log),
    metricsWork(parts),
    requestsToFormer(parts),
    call(() => reload.catchUp()),
  );
}

/** Does what the former manager was asked to do when it was the manager no more. */
function requestsToFormer({ succession, shutdown, reload }: ManagerWorkParts): Observable<unknown> {
  return succession.requests().pipe(tap((request) => (request === 'stop' ? shutdown.ask() : reload.ask())));
}

function call(action: () => void): Observable<never> {
  return defer(() => {
    action();
    return EMPTY;
  });
}
