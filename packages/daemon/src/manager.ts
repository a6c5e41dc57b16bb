import { installUsernsRestrict, type UsernsRestrict } from '@sdrx/bpf';
import { EventLoop, type Notification, notify, watchdog } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import {
  catchError,
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  type MonoTypeOperatorFunction,
  merge,
  type Observable,
  tap,
} from 'rxjs';
import { FdStore } from './fd-store.js';
import { namespaceResource } from './interfaces/namespace-resource.js';
import { ListeningSocket } from './listening-socket.js';
import { type Log, writeLine } from './log.js';
import { releaseMemory } from './memory.js';
import { NamespaceLiveness } from './namespace-liveness.js';
import { forsakenProbe } from './namespace-probe.js';
import { takePassedFds } from './passed-fds.js';
import { Registry } from './registry.js';
import { dropForsaken, type NamespaceTraces, releaseDead, releaseNamespaces, sweep } from './release.js';
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

/** How often it is tried again to get the registry's lock from a worker, in milliseconds. */
const LOCK_RETRY = 2;

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
  const install = () => installUsernsRestrict({ loop, log: (level, message) => log[level](message) });
  const { restrict, liveness } = setUpRestriction(loop, restriction, runtimeDirectory, registry, log, install);
  // Said once, not by each worker.
  if (liveness !== undefined && !NamespaceLiveness.canSearch())
    log.notice(
      'without CAP_SYS_PTRACE namespaces that have no id, as before Linux 6.18, stay registered when they are dead',
    );
  // A service manager that can be told can keep descriptors, too.
  using store =
    process.env.NOTIFY_SOCKET === undefined ? new FdStore(registry.directory, (pid) => pool.has(pid), log) : undefined;
  const traces: NamespaceTraces = { registry, restrict, liveness, store, log };
  const passed = takePassedFds(log);
  using passedSocket = passed.socket;
  if (passedSocket !== undefined && listen !== undefined) {
    throw new UsageError(`--listen=${listen} says where to listen, but the service manager passed a socket already`);
  }
  takeOver(traces, passed.namespaces);
  using ownSocket = passedSocket === undefined ? new ListeningSocket(runtimeDirectory, listen) : undefined;
  const listenFd = passedSocket?.number ?? ownSocket?.fd ?? -1;
  const api = restrict !== undefined;
  const pool = new WorkerPool(loop, { program: worker, listenFd, api, notifySocket: store?.path, log });
  if (store !== undefined) registry.whileWaiting = () => waitFor(store);

  const stop = (): Observable<never> => {
    tell({ STOPPING: 1 }, log);
    return pool.stop().pipe(finalize(() => loop.exit(0)));
  };

  return await loop.run(
    merge(
      // Signals first: until they are listened to, they would end the process.
      loop.signal('SIGUSR2').pipe(tap(() => pool.grow())),
      restrict?.dead.pipe(
        tap((inodes) => releaseDead(inodes, traces)),
        tryAgain(log, 'release of namespaces'),
      ) ?? EMPTY,
      merge(loop.signal('SIGTERM'), loop.signal('SIGINT')).pipe(exhaustMap(stop)),
      signalCommands(loop, log),
      loop.memoryPressure().pipe(
        tap(() => log.debug('memory is short, giving some back')),
        tap(releaseMemory),
        goWithout(log, 'memory pressure'),
      ),
      watchdog(loop).pipe(goWithout(log, 'watchdog')),
      store?.run(loop).pipe(tryAgain(log, 'fd store')) ?? EMPTY,
      liveness === undefined
        ? EMPTY
        : forsakenProbe(loop).pipe(
            tap(() => dropForsaken(traces)),
            tryAgain(log, 'search for forsaken namespaces'),
          ),
      pool.run(),
      defer(() => announce(restriction, restrict, ownSocket?.path)),
    ).pipe(tap({ error: () => tell({ STOPPING: 1 }, log) })),
  );
}

/** Brings the registry that a former daemon left behind, ours or systemd's, up to date. */
function takeOver(traces: NamespaceTraces, remembered: readonly number[]): void {
  const { registry, restrict, liveness, store, log } = traces;
  using _lock = registry.lock();
  // Where we are the fd store ourselves, the mounts of an earlier manager went with it.
  if (store !== undefined) restrict?.forgetMounts();
  const { removed, restored, failures } = registry.repair();
  if (removed.length + restored.length > 0) {
    log.notice(`repaired the registry: removed ${removed.length} files, restored ${restored.length}`);
  }
  if (failures.length > 0)
    log.warning(`${failures.length} files of the registry can't be repaired, the first`, failures[0]);
  const known = new Set(registry.inodes((file) => log.warning(`odd file in the registry, ignored: '${file}'`)));
  const unknown = [...new Set(remembered)].filter((inode) => !known.has(inode));
  if (unknown.length > 0) releaseNamespaces(unknown, traces);
  sweep(traces);
  liveness?.prune(registry.inodes());
}

/** A worker that has the registry's lock may be waiting for us to take what it sends. */
function waitFor(store: FdStore): void {
  store.receive();
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOCK_RETRY);
}

/** Tells whoever waits that connections are accepted. */
function announce(
  restriction: Restriction,
  restrict: UsernsRestrict | undefined,
  socket: string | undefined,
): Observable<never> {
  const where = socket === undefined ? 'on the passed socket' : `at ${socket}`;
  const warning = restriction === 'off' ? ', WITHOUT userns-restrict: namespaces may own files on any mount' : '';
  const hook = restrict?.hook === undefined ? '' : `, told of dead namespaces by ${restrict.hook}`;
  notify({ READY: 1, STATUS: `Serving ${where}${warning}${hook}` });
  writeLine(`nsresourced ready ${where}${warning}`);
  return EMPTY;
}

/** Tells the service manager what it need not know for us to go on. */
function tell(notification: Notification, log: Log): void {
  try {
    notify(notification);
  } catch (error) {
    log.warning('service manager not told', error);
  }
}

/** A source that the daemon can do without, unless it was told nonsense. That a machine lacks it is nothing special. */
function goWithout<T>(log: Log, what: string): MonoTypeOperatorFunction<T> {
  return catchError((error) => {
    if (!isSystemError(error)) throw error;
    const usual = isSystemError(error, 'EOPNOTSUPP', 'EHOSTDOWN', 'EACCES', 'EPERM');
    log[usual ? 'debug' : 'warning'](`${what} not available`, error);
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
