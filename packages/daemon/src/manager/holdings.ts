import { type BpfLog, type InstalledUsernsRestrict, installUsernsRestrict } from '@sdrx/bpf';
import { EventLoop, type Predecessor } from '@sdrx/event';
import { type Fd, isSystemError } from '@sdrx/linux';
import { Ledger } from '../limits/ledger.js';
import { CallLedger } from '../metrics/call-ledger.js';
import { NamespaceLiveness } from '../namespace/namespace-liveness.js';
import { type Restrictor, setUpRestriction } from '../namespace/restriction.js';
import type { Log } from '../program/log.js';
import { controlPath } from '../program/runtime-directory.js';
import { UsageError } from '../program/usage-error.js';
import { Registry } from '../registry/registry.js';
import { adoptRegistry } from './adopt-registry.js';
import { inheritControl, inheritLock, inheritReader, inheritReportSocket, inheritSocket } from './inheritance.js';
import { ListeningSocket, refuseIfServed } from './listening-socket.js';
import { ManagerLock } from './manager-lock.js';
import type { ManagerOptions } from './manager-options.js';
import { NamedSocket, PassedSocket, type ServedSocket } from './named-socket.js';
import { NotifySocket } from './notify-socket.js';
import { type PassedFds, takePassedFds } from './passed-fds.js';

/** What the process has once the registry is up to date. Clients may connect from then on, and not before. */
interface Adopted extends Restrictor<InstalledUsernsRestrict> {
  readonly lock: ManagerLock;
  readonly loop: EventLoop;
  readonly registry: Registry;
  /** Set where the manager is the fd store of its workers. */
  readonly notifySocket: NotifySocket | undefined;
  readonly passed: PassedFds;
  /** Whether the user namespace interfaces are on. */
  readonly api: boolean;
}

/** What the process of a manager holds, from before it does anything until it has done all. */
export interface Holdings extends Adopted {
  /** The socket that clients connect to. */
  readonly socket: ServedSocket;
  readonly control: ServedSocket;
  /** The socket that the service manager has passed for metrics. */
  readonly reportSocket: Fd | undefined;
  /** Undefined where the workers do without it. */
  readonly ledger: Ledger | undefined;
  /** What the workers count for metrics. Undefined where they count nothing. */
  readonly calls: CallLedger | undefined;
}

/**
 * Takes or opens all that a manager holds, has `work` work with it, and gives it back in the reverse order when that has ended.
 *
 * Each step has what the steps before it gave: the runtime directory's path is the lock's, and the sockets are opened for a registry
 * that is adopted.
 * @param former the manager that gives way to this process, if it was started by one
 * @returns what `work` resolves with
 * Rejects with AlreadyServedError, UsageError, SystemError and others for what can't be had.
 */
export async function hold<T>(
  options: ManagerOptions,
  former: Predecessor | undefined,
  work: (held: Holdings) => Promise<T>,
): Promise<T> {
  const { listen, log } = options;
  using lock = takeLock(options, former);
  using loop = new EventLoop();
  using registry = Registry.open(lock.runtimeDirectory);
  using reader = former && inheritReader(former);
  const restrictor = restrict(options, lock, loop, reader);
  using notifySocket = isFdStore(options) ? new NotifySocket(registry.directory) : undefined;
  using passed = takePassedFds(log);
  refuseTwoPlaces(passed, listen);
  const api = adoptRegistry(registry, restrictor, log);
  const adopted: Adopted = { ...restrictor, lock, loop, registry, notifySocket, passed, api };
  using socket = openSocket(adopted, listen, former);
  using control = openControl(adopted, former);
  using reportSocket = passed.reportSocket ?? (former && inheritReportSocket(former));
  using ledger = options.foreign ? undefined : createLedger(adopted, log);
  using calls = ledger && createCallLedger(options, adopted, reportSocket);
  return await work({ ...adopted, socket, control, reportSocket, ledger, calls });
}

/** Comes before anything is touched that another manager may be using. */
function takeLock({ runtimeDirectory, listen }: ManagerOptions, former: Predecessor | undefined): ManagerLock {
  if (former !== undefined) return inheritLock(former, runtimeDirectory);
  const lock = ManagerLock.take(runtimeDirectory);
  try {
    if (process.env.LISTEN_FDS === undefined) refuseIfServed(pathOf(lock, listen), lock.former);
    return lock;
  } catch (error) {
    lock[Symbol.dispose]();
    throw error;
  }
}

/** Where the daemon listens if no socket is passed. */
function pathOf(lock: ManagerLock, listen: string | undefined): string {
  return listen ?? ListeningSocket.defaultPath(lock.runtimeDirectory);
}

/** @param reader what the former manager is told of deaths by */
function restrict(
  { restriction, log }: ManagerOptions,
  { runtimeDirectory }: ManagerLock,
  loop: EventLoop,
  reader: Fd | undefined,
): Restrictor<InstalledUsernsRestrict> {
  const tell: BpfLog = (level, message) => log[level](message);
  const install = () => installUsernsRestrict({ loop, log: tell, ...(reader && { reader }) });
  const restrictor = setUpRestriction(restriction, runtimeDirectory, log, install);
  // Said once, not by each worker.
  if (restrictor.liveness !== undefined && !NamespaceLiveness.canSearch()) {
    log.notice(
      'without CAP_SYS_PTRACE namespaces that have no id, as before Linux 6.18, stay registered when they are dead',
    );
  }
  return restrictor;
}

/** The daemon's own workers have nothing kept. Where a service manager can be told, it keeps descriptors. */
function isFdStore({ foreign }: ManagerOptions): boolean {
  return foreign && process.env.NOTIFY_SOCKET === undefined;
}

function refuseTwoPlaces({ socket }: PassedFds, listen: string | undefined): void {
  if (socket !== undefined && listen !== undefined) {
    throw new UsageError(`--listen=${listen} says where to listen, but the service manager passed a socket already`);
  }
}

function openSocket(
  { lock, passed }: Adopted,
  listen: string | undefined,
  former: Predecessor | undefined,
): ServedSocket {
  const path = pathOf(lock, listen);
  if (passed.socket !== undefined) return new PassedSocket(passed.socket);
  if (former !== undefined) return inheritSocket(former, lock.runtimeDirectory, path);
  return ListeningSocket.listen(lock.runtimeDirectory, path, lock.former);
}

function openControl({ lock: { runtimeDirectory } }: Adopted, former: Predecessor | undefined): ServedSocket {
  if (former !== undefined) return inheritControl(former, runtimeDirectory);
  return NamedSocket.listen(controlPath(runtimeDirectory), 0o600);
}

/** Workers do without it, each for itself, if there is no space for it. */
function createLedger({ lock }: Adopted, log: Log): Ledger | undefined {
  try {
    return Ledger.create(lock.runtimeDirectory);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    log.warning('no ledger: limits hold in each worker by itself, and workers that hang are not noticed', error);
    return undefined;
  }
}

/** Nothing is counted unless somebody wants to know. */
function createCallLedger(
  { metrics, report, log }: ManagerOptions,
  { lock }: Adopted,
  reportSocket: Fd | undefined,
): CallLedger | undefined {
  if (metrics === undefined && report === undefined && reportSocket === undefined) return undefined;
  try {
    return CallLedger.create(lock.runtimeDirectory);
  } catch (error) {
    if (!isSystemError(error)) throw error;
    log.warning('no memory for what calls are counted in', error);
    return undefined;
  }
}
