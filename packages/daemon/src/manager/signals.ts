import type { EventLoop } from '@sdrx/event';
import type { SignalInfo } from '@sdrx/linux';
import { merge, type Observable, tap } from 'rxjs';
import type { WorkerPool } from '../pool/worker-pool.js';
import { ignoreLateSignals } from '../program/late-signals.js';
import type { Log } from '../program/log.js';
import { signalCommands } from '../program/signal-commands.js';
import type { Reload } from './reload.js';
import type { Shutdown } from './shutdown.js';

export interface SignalParts {
  readonly loop: EventLoop;
  readonly pool: WorkerPool;
  readonly reload: Reload;
  readonly shutdown: Shutdown;
  readonly log: Log;
}

/** What each signal has the manager do: SIGUSR2 is a worker's that asks for help. */
export function signals({ loop, pool, reload, shutdown, log }: SignalParts): Observable<SignalInfo> {
  return merge(
    loop.signal('SIGUSR2').pipe(tap(({ pid }) => pool.grow(pid))),
    loop.signal('SIGHUP', { description: 'reload' }).pipe(tap(() => reload.ask())),
    merge(loop.signal('SIGTERM'), loop.signal('SIGINT')).pipe(tap(() => shutdown.ask())),
    signalCommands(loop, log),
  );
}

/** Subscribes to signals before all else. Until it has, they would end the process. */
export function withSignals(
  loop: EventLoop,
  received: Observable<SignalInfo>,
  work: Observable<unknown>,
): Observable<unknown> {
  return merge(received, ignoreLateSignals(loop), work);
}
