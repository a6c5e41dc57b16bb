import { checkBoolean, checkInteger, checkNumber, checkObject, close } from '@sdrx/linux';
import { NotifySocket, type ReceivedNotification } from './notify-socket.js';
import type { ServiceFailureError } from './service-failure-error.js';
import { type StoredFd, VirtualFdStore } from './virtual-fd-store.js';
import { type UnitState, VirtualUnit } from './virtual-unit.js';

/** What the unit of a service says. Times are in milliseconds; Infinity is none. */
export interface VirtualServiceManagerOptions {
  /** How long it waits for READY=1, after the start and after each reload: TimeoutStartSec=, by default 90,000. */
  readonly startTimeout?: number;
  /** How long it waits for the end: TimeoutStopSec=, by default 90,000. */
  readonly stopTimeout?: number;
  /** How long it waits for a sign of life, once the service is ready: WatchdogSec=, by default for ever. */
  readonly watchdog?: number;
  /** How many descriptors it keeps: FileDescriptorStoreMax=, by default 0. */
  readonly fdStoreMax?: number;
}

/** What a service manager was told. */
export interface VirtualNotification {
  /** When, in milliseconds on the loop's monotonic clock. */
  readonly at: number;
  /** The variables of sd_notify(3) by their names, as text. */
  readonly variables: Readonly<Record<string, string>>;
  /** How many descriptors came along. */
  readonly fds: number;
}

/** How a service manager has no time. */
export interface StallOptions {
  /** Whether there is no room for a single message from now on; by default there is for a few. */
  readonly full?: boolean;
}

/** The service manager of a virtual loop: knows what it was told, answers, and is as slow as a test wants it. */
export interface VirtualServiceManager {
  /** Where the service stands to it; `failed` after a ServiceFailureError. */
  readonly state: UnitState;
  /** The service's newest STATUS. */
  readonly status: string | undefined;
  /** All that it was told, in order. What it has no time to read comes when it has. */
  readonly notifications: readonly VirtualNotification[];
  /** The descriptors that it keeps. */
  readonly storedFds: readonly StoredFd[];
  /** Asks the service to reload, by SIGHUP. @throws Error if nobody listens to it, or the service is not `active` */
  reload(): void;
  /** Asks the service to end, by SIGTERM. @throws Error if nobody listens to it */
  stop(): void;
  /**
   * Has no time from now on: it reads nothing, answers no barrier, and ends nobody. Messages wait for it, the first few in its
   * socket, the others in the process; beyond 256 `notify` fails with ENOBUFS.
   * @throws TypeError
   */
  stall(options?: StallOptions): void;
  /** Is gone from now on: `notify` fails with ECONNREFUSED. What waited in the process is lost. */
  refuse(): void;
  /** Is there, and has time, again. What has waited was told at this time. */
  resume(): void;
}

/** What a service manager has from its world. */
export interface ManagerSurroundings {
  /** On the monotonic clock, in milliseconds. */
  now(): number;
  /** @throws Error if nobody listens to it */
  send(signal: 'SIGHUP' | 'SIGTERM'): void;
  /** Whether the service has ended. */
  hasEnded(): boolean;
}

/** A process has one environment, so one service manager. */
let current: ServiceManager | undefined;

export class ServiceManager implements VirtualServiceManager, Disposable {
  readonly #surroundings: ManagerSurroundings;
  readonly #socket = new NotifySocket();
  readonly #store: VirtualFdStore;
  readonly #unit: VirtualUnit;
  readonly #notifications: VirtualNotification[] = [];
  /** The variables of the environment as they were. */
  readonly #environment: ReadonlyMap<string, string | undefined>;
  #status: string | undefined;
  #isStalled = false;

  /** @throws TypeError and RangeError for options that are none, and Error while there is another one */
  constructor(options: VirtualServiceManagerOptions, surroundings: ManagerSurroundings) {
    const {
      startTimeout = 90_000,
      stopTimeout = 90_000,
      watchdog = Number.POSITIVE_INFINITY,
      fdStoreMax = 0,
    } = options;
    checkTimeout('startTimeout', startTimeout);
    checkTimeout('stopTimeout', stopTimeout);
    checkTimeout('watchdog', watchdog);
    checkInteger('fdStoreMax', fdStoreMax, 0);
    if (current !== undefined) throw new Error('another virtual loop has a service manager, and a process has one');
    this.#surroundings = surroundings;
    this.#unit = new VirtualUnit({ startTimeout, stopTimeout, watchdog }, surroundings.now());
    this.#store = new VirtualFdStore(fdStoreMax);
    this.#socket.open();
    const isWatched = watchdog !== Number.POSITIVE_INFINITY;
    this.#environment = setEnvironment({
      NOTIFY_SOCKET: this.#socket.address,
      WATCHDOG_USEC: isWatched ? String(Math.ceil(watchdog * 1e3)) : undefined,
      WATCHDOG_PID: isWatched ? String(process.pid) : undefined,
      FDSTORE: fdStoreMax > 0 ? String(fdStoreMax) : undefined,
    });
    current = this;
  }

  get state(): UnitState {
    this.look();
    return this.#unit.state;
  }

  get status(): string | undefined {
    this.look();
    return this.#status;
  }

  get notifications(): readonly VirtualNotification[] {
    this.look();
    return this.#notifications;
  }

  get storedFds(): readonly StoredFd[] {
    this.look();
    return this.#store.stored;
  }

  /** When it is too late for something, in milliseconds on the monotonic clock; Infinity if nothing is waited for. */
  get deadline(): number {
    return this.#isStalled ? Number.POSITIVE_INFINITY : this.#unit.deadline;
  }

  reload(): void {
    const { state } = this;
    if (state !== 'active') throw new Error(`a service that is ${state} is not reloaded`);
    this.#surroundings.send('SIGHUP');
    this.#unit.reload(this.#surroundings.now());
  }

  stop(): void {
    this.look();
    this.#surroundings.send('SIGTERM');
    this.#unit.stop(this.#surroundings.now());
  }

  stall(options: StallOptions = {}): void {
    checkObject('options', options);
    const { full = false } = options;
    checkBoolean('full', full);
    this.look();
    this.#isStalled = true;
    if (full) this.#socket.fill();
  }

  refuse(): void {
    this.look();
    this.#socket.close();
  }

  resume(): void {
    this.#socket.open();
    if (!this.#isStalled) return;
    // It reads before it finds out what is late.
    this.#read();
    this.#isStalled = false;
  }

  /** Reads and answers what it was told, at this time. */
  look(): void {
    if (this.#isStalled) return;
    this.#unit.elapse(this.#surroundings.now());
    this.#read();
    this.#store.look();
    if (this.#surroundings.hasEnded()) this.#unit.ended();
  }

  /** What it would end the service for by now, told once. */
  takeFailure(): ServiceFailureError | undefined {
    this.look();
    return this.#isStalled ? undefined : this.#unit.takeFailure(this.#surroundings.now());
  }

  [Symbol.dispose](): void {
    if (current !== this) return;
    // What waits in the process is not to come to somebody else.
    this.#socket.open();
    this.#read();
    this.#socket[Symbol.dispose]();
    this.#store[Symbol.dispose]();
    setEnvironment(Object.fromEntries(this.#environment));
    current = undefined;
  }

  #read(): void {
    for (const received of this.#socket.read()) this.#hear(received);
  }

  #hear({ text, fds }: ReceivedNotification): void {
    const at = this.#surroundings.now();
    const variables = parse(text);
    this.#notifications.push({ at, variables, fds: fds.length });
    const { STATUS, FDSTORE, FDSTOREREMOVE, FDNAME, FDPOLL, BARRIER } = variables;
    if (FDSTOREREMOVE === '1' && FDNAME !== undefined) this.#store.forget(FDNAME);
    for (const fd of fds) {
      // To close that of a barrier is the answer.
      if (FDSTORE === '1' && BARRIER === undefined) this.#store.keep(fd, FDNAME, FDPOLL !== '0');
      else close(fd);
    }
    if (STATUS !== undefined) this.#status = STATUS;
    this.#unit.told(variables, at);
  }
}

/** One line a variable. */
function parse(text: string): Record<string, string> {
  const lines = text.split('\n').filter((line) => line.includes('='));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** @returns what it was before */
function setEnvironment(variables: Readonly<Record<string, string | undefined>>): Map<string, string | undefined> {
  const before = new Map<string, string | undefined>();
  for (const [name, value] of Object.entries(variables)) {
    before.set(name, process.env[name]);
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  return before;
}

function checkTimeout(name: string, value: number): void {
  if (value !== Number.POSITIVE_INFINITY) checkNumber(name, value, Number.MIN_VALUE, Number.MAX_SAFE_INTEGER / 1e3);
}
