import { writeSync } from 'node:fs';
import { EventLoop, notify, watchdog } from '@sdrx/event';
import {
  catchError,
  defer,
  EMPTY,
  finalize,
  type MonoTypeOperatorFunction,
  merge,
  mergeMap,
  type Observable,
  take,
  tap,
} from 'rxjs';
import { namespaceResource } from './interfaces/namespace-resource.js';
import { ListeningSocket } from './listening-socket.js';
import type { Log } from './log.js';
import { releaseMemory } from './memory.js';
import { takePassedFds } from './passed-fds.js';
import { Registry } from './registry.js';
import { type NamespaceTraces, releaseDead, releaseNamespace, sweep } from './release.js';
import { type Restriction, setUpRestriction } from './restriction.js';
import { signalCommands } from './signal-commands.js';
import { UsageError } from './usage-error.js';
import { WorkerPool } from './worker-pool.js';
import type { WorkerProgram } from './worker-program.js';

export interface ManagerOptions {
  readonly runtimeDirectory: string;
  readonly restriction: Restriction;
  /** Where to listen if no socket is passed. */
  readonly listen: string | undefined;
  readonly worker: WorkerProgram;
  readonly log: Log;
}

/**
 * Runs the daemon until SIGTERM or SIGINT: owns the socket and the registry, keeps workers, releases dead namespaces.
 * @returns the exit code; rejects with what kept it from starting, with NoWorkersError when its workers keep dying
 */
export async function runManager({
  runtimeDirectory,
  restriction,
  listen,
  worker,
  log,
}: ManagerOptions): Promise<number> {
  process.umask(0o022);
  // To look up a user must never lead back to us.
  process.env.SYSTEMD_BYPASS_USERDB = namespaceResource.name;

  using loop = new EventLoop();
  using registry = Registry.open(runtimeDirectory);
  const { restrict, liveness } = setUpRestriction(loop, restriction, runtimeDirectory, registry, log);
  const traces: NamespaceTraces = { registry, restrict, liveness, log };
  const passed = takePassedFds(log);
  using passedSocket = passed.socket;
  if (passedSocket !== undefined && listen !== undefined) {
    throw new UsageError(`--listen=${listen} says where to listen, but the service manager passed a socket already`);
  }
  takeOver(traces, passed.namespaces);
  using ownSocket = passedSocket === undefined ? new ListeningSocket(runtimeDirectory, listen) : undefined;
  const listenFd = passedSocket?.number ?? ownSocket?.fd ?? -1;
  const pool = new WorkerPool(loop, { program: worker, listenFd, api: restrict !== undefined, log });

  const stop = (): Observable<never> => {
    notify({ STOPPING: 1 });
    return pool.stop().pipe(finalize(() => loop.exit(0)));
  };

  return await loop.run(
    merge(
      pool.run(),
      loop.signal('SIGUSR2').pipe(tap(() => pool.grow())),
      restrict?.dead.pipe(
        tap((inodes) => releaseDead(inodes, traces)),
        tryAgain(log, 'release of namespaces'),
      ) ?? EMPTY,
      merge(loop.signal('SIGTERM'), loop.signal('SIGINT')).pipe(take(1), mergeMap(stop)),
      signalCommands(loop, log),
      loop.memoryPressure().pipe(tap(releaseMemory), goWithout(log, 'memory pressure')),
      watchdog(loop),
      defer(() => announce(restriction, ownSocket?.path)),
    ),
  );
}

/** Brings the registry that a former daemon left behind, ours or systemd's, up to date. */
function takeOver(traces: NamespaceTraces, remembered: readonly number[]): void {
  const { registry, liveness, log } = traces;
  using _lock = registry.lock();
  const { removed, restored } = registry.repair();
  if (removed.length + restored.length > 0) {
    log.notice(`repaired the registry: removed ${removed.length} files, restored ${restored.length}`);
  }
  const known = new Set(registry.inodes((file) => log.warning(`odd file in the registry, ignored: '${file}'`)));
  for (const inode of remembered) if (!known.has(inode)) releaseNamespace(inode, traces);
  sweep(traces);
  liveness?.prune(registry.inodes());
}

/** Tells whoever waits that connections are accepted. */
function announce(restriction: Restriction, socket: string | undefined): Observable<never> {
  const where = socket === undefined ? 'on the passed socket' : `at ${socket}`;
  const warning = restriction === 'off' ? ', WITHOUT userns-restrict: namespaces may own files on any mount' : '';
  writeSync(2, `nsresourced ready ${where}${warning}\n`);
  notify({ READY: 1, STATUS: `Serving ${where}${warning}` });
  return EMPTY;
}

/** A source that the daemon can do without. */
function goWithout<T>(log: Log, what: string): MonoTypeOperatorFunction<T> {
  return catchError((error) => {
    log.debug(`${what} not available`, error);
    return EMPTY;
  });
}

/** A source whose failure is said, and which then begins anew. */
function tryAgain<T>(log: Log, what: string): MonoTypeOperatorFunction<T> {
  return catchError((error, again) => {
    log.warning(`${what} failed`, error);
    return again;
  });
}
