import type { EventLoop } from '@sdrx/event';
import { concat, exhaustMap, finalize, from, merge, mergeMap, type Observable, Subject } from 'rxjs';
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

  /** For SIGTERM and SIGINT. Asked once more, it ends as it does. Needs `run`. */
  ask(): void {
    this.#asked.next();
  }

  /** Ends the loop when it is time to. */
  run(): Observable<never> {
    const { loop, reload, succession } = this.parts;
    const exit = finalize<never>(() => loop.exit(0));
    return merge(
      this.#asked.pipe(exhaustMap(() => this.#stop().pipe(exit))),
      reload.succeeded.pipe(exhaustMap(() => succession.giveWay().pipe(exit))),
    );
  }

  #stop(): Observable<never> {
    const { office, pool, reload, succession, log } = this.parts;
    return from(reload.stop()).pipe(
      mergeMap((successor) => {
        // The request was meant for the service, which is another process by now.
        if (successor !== undefined) successor.stop();
        else if (office.isManager) tellServiceManager({ STOPPING: 1 }, log);
        return concat(pool.stop(), succession.endCommands());
      }),
    );
  }
}
