import { type InstalledUsernsRestrict, installUsernsRestrict, type UsernsRestrict } from '@sdrx/bpf';
import { EventLoop, type Notification, notify, watchdog } from '@sdrx/event';
import { atLoad, EBUSY, isSystemError, SystemError } from '@sdrx/linux';
import {
  catchError,
  concat,
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  ignoreElements,
  type MonoTypeOperatorFunction,
  merge,
  type Observable,
  retry,
  switchMap,
  takeUntil,
  tap,
} from 'rxjs';
import { FdStore } from './fd-store.js';
import { namespaceResource } from './interfaces/namespace-resource.js';
import { Ledger } from './ledger.js';
import type { Limits } from './limits.js';
import { ListeningSocket, refuseIfServed } from './listening-socket.js';
import { type Log, writeLine } from './log.js';
import { logText } from './log-text.js';
import { ManagerLock } from './manager-lock.js';
import { releaseMemory } from './memory.js';
import { NamespaceLiveness } from './namespace-liveness.js';
import { probeNamespaces } from './namespace-probe.js';
import { takePassedFds } from './passed-fds.js';
import { Registry } from './registry.js';
import type { NamespaceTraces } from './release.js';
import { Releases } from './releases.js';
import { type Restriction, setUpRestriction } from './restriction.js';
import { signalCommands } from './signal-commands.js';
import { takeOver } from './take-over.js';
import { UsageError } from './usage-error.js';
import { WorkerPool } from './worker-pool.js';
import type { WorkerProgram } from './worker-program.js';

export interface ManagerOptions {
  readonly runtimeDirectory: string;
  readonly restriction: Restriction;
  /** Where to listen if no socket is passed. */
  readonly listen: string | undefined;
  readonly worker: WorkerProgram;
  /** Whether that is a program of others, which gives no signs of life and counts nothing. */
  readonly foreign: boolean;
  readonly limits: Limits;
  readonly log: Log;
}

/** How often it is tried again to get the registry's lock from a worker, in milliseconds. */
const LOCK_RETRY = 2;

/** How long the start waits for the registry's lock, in milliseconds: who has it longer will not give it back. */
const LOCK_PATIENCE = 20_000;

/** How long the start may wait until dead namespaces are released, in milliseconds; the rest is released afterwards. */
const START_PATIENCE = 5000;

/** How often the start searches for dead namespaces if that fails, and how long after that, in milliseconds. */
const SEARCHES = 3;
const SEARCH_RETRY = 100;

/**
 * Runs the daemon until SIGTERM or SIGINT: owns the socket and the registry, keeps workers, releases dead namespaces.
 * @returns the exit code; rejects with what kept it from starting, with NoWorkersError when its workers keep dying
 */
export async function runManager({
  runtimeDirectory,
  restriction,
  listen,
  worker,
  foreign,
  limits,
  log,
}: ManagerOptions): Promise<number> {
  process.umask(0o022);
  // Before anything is touched that another manager may be using.
  using lock = new ManagerLock(runtimeDirectory);
  if (process.env.LISTEN_FDS === undefined) {
    refuseIfServed(listen ?? ListeningSocket.defaultPath(runtimeDirectory), lock.former);
  }
  // To look up a user must never lead back to us.
  process.env.SYSTEMD_BYPASS_USERDB = namespaceResource.name;

  using loop = new EventLoop();
  using registry = Registry.open(runtimeDirectory);
  let installed: InstalledUsernsRestrict | undefined;
  const install = () => {
    installed = installUsernsRestrict({ loop, log: (level, message) => log[level](message) });
    return installed;
  };
  const { restrict, liveness } = setUpRestriction(restriction, runtimeDirectory, log, install);
  // Said once, not by each worker.
  if (liveness !== undefined && !NamespaceLiveness.canSearch())
    log.notice(
      'without CAP_SYS_PTRACE namespaces that have no id, as before Linux 6.18, stay registered when they are dead',
    );
  // Our own workers have nothing kept. A service manager that can be told can keep descriptors, too.
  using store =
    foreign && process.env.NOTIFY_SOCKET === undefined
      ? new FdStore(registry.directory, (pid) => pool.has(pid), log)
      : undefined;
  const traces: NamespaceTraces = { registry, restrict, liveness, store, log };
  const passed = takePassedFds(log);
  using passedSocket = passed.socket;
  if (passedSocket !== undefined && listen !== undefined) {
    throw new UsageError(`--listen=${listen} says where to listen, but the service manager passed a socket already`);
  }
  registry.whileWaiting = waitAtStart();
  const api = takeOver(traces, installed);
  registry.whileWaiting = undefined;
  using ownSocket = passedSocket === undefined ? new ListeningSocket(runtimeDirectory, listen, lock.former) : undefined;
  using ledger = foreign ? undefined : createLedger(runtimeDirectory, log);
  const listenFd = passedSocket?.number ?? ownSocket?.fd ?? -1;
  const pool = new WorkerPool(loop, {
    program: worker,
    listenFd,
    api,
    notifySocket: store?.path,
    ledger,
    maximum: limits.workers,
    log,
  });
  if (store !== undefined) registry.whileWaiting = () => waitFor(store);

  const releases = new Releases(loop, traces);

  const stop = (): Observable<never> => {
    tell({ STOPPING: 1 }, log);
    return pool.stop().pipe(finalize(() => loop.exit(0)));
  };

  return await loop.run(
    merge(
      // Signals first: until they are listened to, they would end the process.
      loop.signal('SIGUSR2').pipe(tap(({ pid }) => pool.grow(pid))),
      restrict?.dead.pipe(
        tap((inodes) => releases.addDead(inodes)),
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
        : probeNamespaces(loop, releases).pipe(tryAgain(log, 'search for dead namespaces')),
      releases.run().pipe(tryAgain(log, 'release of namespaces')),
      pool.run(),
      concat(
        releaseFormer(loop, releases, passed.namespaces, log),
        defer(() => announce(restriction, restrict, ownSocket?.path)),
      ),
    ).pipe(tap({ error: () => tell({ STOPPING: 1 }, log) })),
  );
}

/**
 * Releases what died while no daemon ran: those that the fd store has something of and nobody has registered, and those that
 * are registered. Who waits for us waits for that, too, for a while.
 */
function releaseFormer(
  loop: EventLoop,
  releases: Releases,
  remembered: readonly number[],
  log: Log,
): Observable<unknown> {
  releases.addStrays(remembered);
  return releases.sweep().pipe(
    // Where the kernel tells of deaths, there is no other search before the next start.
    retry({ count: SEARCHES - 1, delay: () => loop.time({ after: SEARCH_RETRY, description: 'search again' }) }),
    switchMap(() => releases.settled()),
    goWithout(log, 'search for dead namespaces'),
    takeUntil(loop.time({ after: START_PATIENCE, description: 'release at the start' })),
    ignoreElements(),
  );
}

/** Workers do without it, each for itself, if there is no space for it. */
function createLedger(runtimeDirectory: string, log: Log): Ledger | undefined {
  try {
    return Ledger.create(runtimeDirectory);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    log.warning('no ledger: limits hold in each worker by itself, and workers that hang are not noticed', error);
    return undefined;
  }
}

/** A worker that has the registry's lock may be waiting for us to take what it sends. */
function waitFor(store: FdStore): void {
  store.receive();
  pauseBriefly();
}

/** Nobody waits for us yet: we may wait, but not for ever, for a process that is stopped, say. Throws EBUSY when it is too long. */
function waitAtStart(): () => void {
  const end = atLoad.performanceNow() + LOCK_PATIENCE;
  return () => {
    if (atLoad.performanceNow() > end) {
      throw new SystemError(EBUSY, 'flock', 'registry/lock, which another process holds');
    }
    pauseBriefly();
  };
}

function pauseBriefly(): void {
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
  writeLine(logText(`nsresourced ready ${where}${warning}`));
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
