import { type BpfLog, type InstalledUsernsRestrict, installUsernsRestrict } from '@sdrx/bpf';
import { ControlSocket, EventLoop, type Notification, notify, type Predecessor, takeOver, watchdog } from '@sdrx/event';
import { atLoad, EBUSY, isSystemError, SystemError } from '@sdrx/linux';
import {
  catchError,
  concat,
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  from,
  ignoreElements,
  type MonoTypeOperatorFunction,
  merge,
  mergeMap,
  type Observable,
  retry,
  Subject,
  share,
  switchMap,
  takeUntil,
  tap,
} from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { Ledger } from '../limits/ledger.js';
import type { Limits } from '../limits/limits.js';
import { NamespaceLiveness } from '../namespace/namespace-liveness.js';
import { probeNamespaces } from '../namespace/namespace-probe.js';
import type { NamespaceTraces } from '../namespace/release.js';
import { Releases } from '../namespace/releases.js';
import { type Restriction, setUpRestriction } from '../namespace/restriction.js';
import { WorkerPool } from '../pool/worker-pool.js';
import type { WorkerProgram } from '../pool/worker-program.js';
import { type Log, writeLine } from '../program/log.js';
import { logText } from '../program/log-text.js';
import { releaseMemory } from '../program/memory.js';
import { controlPath } from '../program/runtime-directory.js';
import { signalCommands } from '../program/signal-commands.js';
import { UsageError } from '../program/usage-error.js';
import { Registry } from '../registry/registry.js';
import { adoptRegistry } from './adopt-registry.js';
import { ExclusiveWork } from './exclusive-work.js';
import { FdStore } from './fd-store.js';
import { handedOn, inheritControl, inheritLock, inheritReader, inheritSocket } from './inheritance.js';
import { ListeningSocket, refuseIfServed } from './listening-socket.js';
import { ManagerLock } from './manager-lock.js';
import { managerState } from './manager-state.js';
import { NamedSocket, PassedSocket, type ServedSocket } from './named-socket.js';
import { takePassedFds } from './passed-fds.js';
import { Reload } from './reload.js';
import { Succession } from './succession.js';

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

/** How long the start may take in place of another manager until it says more, in milliseconds: a slow machine loads BPF for long. */
const TAKE_OVER_PATIENCE = 120_000;

/** How often the start searches for dead namespaces if that fails, and how long after that, in milliseconds. */
const SEARCHES = 3;
const SEARCH_RETRY = 100;

/**
 * Runs the daemon until SIGTERM or SIGINT, or until another process takes over (SIGHUP): owns the socket and the registry, keeps
 * workers, releases dead namespaces. Started by a manager that gives way, it takes over from that one.
 * @returns the exit code; rejects with what kept it from starting, with NoWorkersError when its workers keep dying
 */
export async function runManager(options: ManagerOptions): Promise<number> {
  process.umask(0o022);
  using former = takeOver();
  try {
    former?.progress('Reloading: a new manager starts', TAKE_OVER_PATIENCE);
    return await manage(options, former);
  } catch (error) {
    former?.failed(error);
    throw error;
  }
}

async function manage(
  { runtimeDirectory, restriction, listen, worker, foreign, limits, log }: ManagerOptions,
  former: Predecessor | undefined,
): Promise<number> {
  const path = listen ?? ListeningSocket.defaultPath(runtimeDirectory);
  // Before anything is touched that another manager may be using.
  using lock = former === undefined ? ManagerLock.take(runtimeDirectory) : inheritLock(former);
  if (former === undefined && process.env.LISTEN_FDS === undefined) refuseIfServed(path, lock.former);
  // To look up a user must never lead back to us.
  process.env.SYSTEMD_BYPASS_USERDB = namespaceResource.name;

  using loop = new EventLoop();
  using registry = Registry.open(runtimeDirectory);
  let installed: InstalledUsernsRestrict | undefined;
  using reader = former && inheritReader(former);
  const install = () => {
    const tellLog: BpfLog = (level, message) => log[level](message);
    installed = installUsernsRestrict({ loop, log: tellLog, ...(reader && { reader }) });
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
  const api = adoptRegistry(traces, installed);
  registry.whileWaiting = undefined;
  const listenAnew = () => ListeningSocket.listen(runtimeDirectory, path, lock.former);
  const ownSocket = () => (former === undefined ? listenAnew() : inheritSocket(former, runtimeDirectory, path));
  using socket = passedSocket === undefined ? ownSocket() : new PassedSocket(passedSocket);
  using control =
    former === undefined
      ? NamedSocket.listen(controlPath(runtimeDirectory), 0o600)
      : inheritControl(former, runtimeDirectory);
  using ledger = foreign ? undefined : createLedger(runtimeDirectory, log);
  const pool = new WorkerPool(loop, {
    program: worker,
    listenFd: socket.fd.number,
    api,
    notifySocket: store?.path,
    ledger,
    maximum: limits.workers,
    isManager: () => succession.isManager,
    successor: () => reload.pid,
    log,
  });
  if (store !== undefined) registry.whileWaiting = () => waitFor(store);

  const releases = new Releases(loop, traces);
  const exclusive = new ExclusiveWork(
    merge(
      restrict?.dead.pipe(
        tap((inodes) => releases.addDead(inodes)),
        tryAgain(log, 'release of namespaces'),
      ) ?? EMPTY,
      store?.run(loop).pipe(tryAgain(log, 'fd store')) ?? EMPTY,
    ),
  );
  const commands = new ControlSocket(control.fd, {
    reload: async () => `process ${await reload.reload()} has taken over from process ${process.pid}`,
  });
  const insignia = [lock, socket, control];
  const succession: Succession = new Succession(loop, former, {
    ...{ runtimeDirectory, insignia, pool, exclusive, commands, releases, ledger, api, limits, log },
  });
  const place = placeOf(socket, restriction);
  const status = `Serving ${place}${restrict?.hook === undefined ? '' : `, told of dead namespaces by ${restrict.hook}`}`;
  const reload: Reload = new Reload(loop, {
    plan: {
      ...handedOn({ lock, socket, control, reader: installed?.reader }),
      servings: [exclusive, commands],
      generation: former?.generation ?? 0,
      state: () => managerState(api, ledger, log),
    },
    former: former?.draining ?? [],
    isManager: () => succession.isManager,
    obstacle: store && 'what it keeps for its workers, as no service manager does, would be lost: restart it',
    status,
    relieve: () => pool.relieve(),
    relieved: () => pool.relieved(),
    tell: (notification) => tell(notification, log),
    log,
  });

  const stop = (): Observable<never> =>
    from(reload.stop()).pipe(
      mergeMap((successor) => {
        // It was meant for the service, which is another process by now.
        if (successor !== undefined) successor.stop();
        else if (succession.isManager) tell({ STOPPING: 1 }, log);
        return concat(pool.stop(), succession.endCommands());
      }),
      finalize(() => loop.exit(0)),
    );
  const stopped = new Subject<void>();

  // Who waits for the start waits for that, too, for a while.
  const formerReleased =
    former === undefined ? releaseFormer(loop, releases, passed.namespaces, log).pipe(share()) : EMPTY;
  const startPatience = loop.time({ after: START_PATIENCE, description: 'release at the start' });

  /** What is the manager's alone. */
  const reign = (): Observable<unknown> =>
    merge(
      defer(() => announce(place, status, former)),
      watchdog(loop).pipe(goWithout(log, 'watchdog')),
      liveness === undefined
        ? EMPTY
        : probeNamespaces(loop, releases).pipe(tryAgain(log, 'search for dead namespaces')),
      // The former manager may have ended before it had released all of which it was told.
      former === undefined ? EMPTY : releaseFormer(loop, releases, [], log),
      succession.requests().pipe(tap((request) => (request === 'stop' ? stopped.next() : reload.ask()))),
      defer(() => {
        reload.catchUp();
        return EMPTY;
      }),
    );

  try {
    return await loop.run(
      merge(
        // Signals first: until they are listened to, they would end the process.
        loop.signal('SIGUSR2').pipe(tap(({ pid }) => pool.grow(pid))),
        reload.run(),
        exclusive.run(),
        merge(loop.signal('SIGTERM'), loop.signal('SIGINT'), stopped).pipe(exhaustMap(stop)),
        signalCommands(loop, log),
        loop.memoryPressure().pipe(
          tap(() => log.debug('memory is short, giving some back')),
          tap(releaseMemory),
          goWithout(log, 'memory pressure'),
        ),
        releases.run().pipe(tryAgain(log, 'release of namespaces')),
        reload.failed.pipe(
          tap(() => pool.spareStrangers(limits.callTime)),
          tap(() => Ledger.removeOthers(runtimeDirectory)),
          // It may have been told of deaths.
          switchMap(() => releaseFormer(loop, releases, [], log)),
        ),
        reload.succeeded.pipe(exhaustMap(() => succession.giveWay().pipe(finalize(() => loop.exit(0))))),
        succession
          .prepare()
          .pipe(
            mergeMap(() =>
              merge(
                pool.run(),
                formerReleased,
                concat(
                  former === undefined ? formerReleased.pipe(takeUntil(startPatience)) : succession.takeCharge(former),
                  reign().pipe(takeUntil(reload.succeeded)),
                ),
              ),
            ),
          ),
      ).pipe(tap({ error: () => succession.isManager && tell({ STOPPING: 1 }, log) })),
    );
  } finally {
    // A server of Node's would keep the process from ending.
    void commands.drain({ signal: AbortSignal.abort() });
  }
}

/**
 * Releases what died while no daemon ran: those that the fd store has something of and nobody has registered, and those that
 * are registered. Completes when that is done.
 */
function releaseFormer(
  loop: EventLoop,
  releases: Releases,
  remembered: readonly number[],
  log: Log,
): Observable<never> {
  return defer(() => {
    releases.addStrays(remembered);
    return releases.sweep();
  }).pipe(
    // Where the kernel tells of deaths, there is no other search before the next start.
    retry({ count: SEARCHES - 1, delay: () => loop.time({ after: SEARCH_RETRY, description: 'search again' }) }),
    switchMap(() => releases.settled()),
    goWithout(log, 'search for dead namespaces'),
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

/** Where the daemon serves, and what one has to know of it. */
function placeOf(socket: ServedSocket, restriction: Restriction): string {
  const where = socket instanceof ListeningSocket ? `at ${socket.path}` : 'on the passed socket';
  const warning = restriction === 'off' ? ', WITHOUT userns-restrict: namespaces may own files on any mount' : '';
  return `${where}${warning}`;
}

/** Tells whoever waits that connections are accepted. */
function announce(place: string, status: string, former: Predecessor | undefined): Observable<never> {
  // That it is ready has been told already of who takes over.
  notify({ ...(former === undefined && { READY: 1 }), STATUS: status });
  writeLine(logText(`nsresourced ready ${place}`));
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
