import type { EventLoop, Successor } from '@sdrx/event';
import { concat, endWith, map, merge, mergeMap, type Observable, Subject, switchMap, take, tap } from 'rxjs';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Log } from '../program/log.js';
import type { Office } from './office.js';
import type { Reload } from './reload.js';
import type { Succession } from './succession.js';
import { tellServiceManager } from './tell-service-manager.js';

export interface ShutdownParts {
  readonly loop: EventLoop;
  readonly office: Readonly<Office>;
  readonly pool: WorkerPool;
  readonly reload: Reload;
  readonly succession: Succession;
  readonly log: Log;
}

/** How the process ends, when all that it has begun is finished: it is asked to, or another process has become the manager. */
export class Shutdown {
  readonly #asked = new Subject<void>();

  constructor(readonly parts: ShutdownParts) {}

  /** For SIGTERM and SIGINT. To be asked once more changes nothing. Needs `run`. */
  ask(): void {
    this.#asked.next();
  }

  /**
   * Ends the loop when it is time to. While the process gives way to another one it may still be asked, and then ends as when it is
   * asked: its workers have less time.
   */
  run(): Observable<unknown> {
    const { loop, reload, succession } = this.parts;
    const asked = this.#asked.pipe(
      take(1),
      mergeMap(() => reload.stop()),
      map((successor) => this.#stop(successor)),
    );
    const replaced = reload.succeeded.pipe(map(() => succession.giveWay()));
    return merge(asked, replaced).pipe(
      // Only one end at a time: when one has finished the loop, the other one could not go on.
      switchMap((end) => end.pipe(endWith(undefined))),
      take(1),
      tap(() => loop.exit(0)),
    );
  }

  #stop(successor: Successor | undefined): Observable<never> {
    const { office, pool, succession, log } = this.parts;
    // The request was meant for the service, which is another process by now.
    if (successor !== undefined) successor.stop();
    else if (office.isManager) tellServiceManager({ STOPPING: 1 }, log);
    return concat(pool.stop(), succession.endCommands());
  }
}
