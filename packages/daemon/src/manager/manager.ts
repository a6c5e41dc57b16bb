import { type Predecessor, takeOver } from '@sdrx/event';
import { merge, tap } from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { meteredLedger } from '../metrics/metered-ledger.js';
import { Releases } from '../namespace/releases.js';
import { systemWith } from '../pool/pool-system.js';
import { UMASK } from '../pool/worker-command.js';
import { WorkerPool, type WorkerPoolOptions } from '../pool/worker-pool.js';
import { backgroundWork } from './background-work.js';
import { exclusiveSources } from './exclusive-sources.js';
import { ExclusiveWork } from './exclusive-work.js';
import { FdStore } from './fd-store.js';
import { type Holdings, hold } from './holdings.js';
import type { ManagerOptions } from './manager-options.js';
import { Office } from './office.js';
import { receiveWhileWaiting } from './registry-wait.js';
import { Reload } from './reload.js';
import { serve } from './serve.js';
import { serviceStatus } from './service-status.js';
import { Shutdown } from './shutdown.js';
import { signals, withSignals } from './signals.js';
import { Succession } from './succession.js';
import { tellServiceManager } from './tell-service-manager.js';

export type { ManagerOptions } from './manager-options.js';

/** How long the start may take in place of another manager until it says more, in milliseconds: a slow machine loads BPF for long. */
const TAKE_OVER_PATIENCE = 120_000;

/**
 * Runs the daemon until SIGTERM or SIGINT, or until another process takes over (SIGHUP): owns the socket and the registry, keeps
 * workers, releases dead namespaces. Started by a manager that gives way, it takes over from that one.
 * @returns the exit code; rejects with what kept it from starting, with NoWorkersError when its workers keep dying
 */
export async function runManager(options: ManagerOptions): Promise<number> {
  process.umask(UMASK);
  // To look up a user must never lead back to this daemon.
  process.env.SYSTEMD_BYPASS_USERDB = namespaceResource.name;
  using former = takeOver();
  try {
    former?.progress('Reloading: a new manager starts', TAKE_OVER_PATIENCE);
    return await hold(options, former, (held) => manage(options, former, held));
  } catch (error) {
    former?.failed(error);
    throw error;
  }
}

/** Makes the manager's parts, each of those before it, and runs them. */
async function manage(options: ManagerOptions, former: Predecessor | undefined, held: Holdings): Promise<number> {
  const { loop, registry, socket, restrict, notifySocket } = held;
  const office = new Office(former === undefined);
  const status = serviceStatus(socket, options.restriction, restrict);
  const ground = { ...options, ...held, ...status, former, office };
  const pool = new WorkerPool(loop, poolOptions(options, held, office), systemWith(options.early));
  using store = notifySocket && new FdStore(notifySocket, pool, options.log);
  if (store !== undefined) registry.whileWaiting = receiveWhileWaiting(store);
  const releases = new Releases(loop, { ...ground, store });
  const exclusive = new ExclusiveWork(exclusiveSources({ ...ground, releases, store }));
  using reload = new Reload({ ...ground, pool, exclusive, store });
  const succession = new Succession({ ...ground, pool, exclusive, releases, commands: reload.commands });
  const shutdown = new Shutdown({ ...ground, pool, reload, succession });
  const parts = { ...ground, pool, releases, exclusive, reload, succession, shutdown };
  const work = merge(backgroundWork(parts), shutdown.run(), serve(parts));
  const stopping = () => office.isManager && tellServiceManager({ STOPPING: 1 }, options.log);
  return await loop.run(withSignals(loop, signals(parts), work).pipe(tap({ error: stopping })));
}

function poolOptions({ worker, limits, log }: ManagerOptions, held: Holdings, office: Office): WorkerPoolOptions {
  const { socket, notifySocket, api, ledger, calls } = held;
  return {
    program: worker,
    listenFd: socket.fd.number,
    notifySocket: notifySocket?.path,
    api,
    ledger: ledger && calls ? meteredLedger(ledger, calls) : ledger,
    maximum: limits.workers,
    office,
    log,
  };
}
