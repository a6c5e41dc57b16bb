import type { Notification } from '@sdrx/event';
import type { Subscription } from 'rxjs';
import type { SimulatedProcess } from './simulated-process.js';

/** What the unit of the service says. */
export interface UnitOptions {
  readonly exitType: 'main' | 'cgroup';
  readonly notifyAccess: 'main' | 'all';
  /** WatchdogSec=, in milliseconds; 0 is none. */
  readonly watchdog: number;
}

/** Where the service stands to its manager. */
export type UnitState = 'starting' | 'active' | 'reloading' | 'stopping' | 'inactive';

/** What the manager has from its world. */
export interface ManagerWorld {
  readonly processes: readonly SimulatedProcess[];
  now(): number;
  delay(): number;
  after(milliseconds: number, call: () => void): Subscription;
  /** Starts the service. */
  startFresh(): SimulatedProcess;
  violated(what: string): void;
  /** Whether what was too late may be so because of what the world has done. */
  isDisturbed(): boolean;
}

/** TimeoutStartSec= and TimeoutStopSec=, in milliseconds. */
const PATIENCE = 90_000;

/** RestartSec=, in milliseconds. */
const RESTART_PAUSE = 100;

/** StartLimitBurst= of a world that is to come to its end. */
const MOST_STARTS = 10;

interface Told {
  readonly from: SimulatedProcess;
  readonly notification: Notification | undefined;
  readonly heard: () => void;
}

/** A service manager that keeps to what systemd does, and says what it is told that it should not be. */
export class SimulatedManager {
  readonly #world: ManagerWorld;
  readonly #options: UnitOptions;
  readonly #queue: Told[] = [];
  #main: SimulatedProcess | undefined;
  #state: UnitState = 'inactive';
  #starts = 0;
  #isStalled = false;
  #asked: number | undefined;
  #deadline = Number.POSITIVE_INFINITY;
  #sign = Number.POSITIVE_INFINITY;
  #isRestarting = false;
  #isStopped = false;

  constructor(world: ManagerWorld, options: UnitOptions) {
    this.#world = world;
    this.#options = options;
  }

  get main(): SimulatedProcess | undefined {
    return this.#main;
  }

  get state(): UnitState {
    return this.#state;
  }

  /** Whether the service is to be there, now or in a moment. */
  get wantsService(): boolean {
    return !this.#isStopped && this.#state !== 'inactive';
  }

  /** Whether it hears every process of the service, and goes on when the main one ends. */
  get hearsAll(): boolean {
    return this.#options.notifyAccess === 'all' && this.#options.exitType === 'cgroup';
  }

  /** Whether it has heard all. */
  get isUpToDate(): boolean {
    return this.#queue.length === 0;
  }

  start(): void {
    this.#isRestarting = false;
    if (this.#isStopped || this.#starts++ >= MOST_STARTS) {
      this.#state = 'inactive';
      return;
    }
    this.#state = 'starting';
    this.#asked = undefined;
    this.#deadline = this.#world.now() + PATIENCE;
    this.#sign = Number.POSITIVE_INFINITY;
    this.#main = this.#world.startFresh();
  }

  /** systemctl reload. @returns whether it is done */
  reload(): boolean {
    if (this.#state !== 'active' || this.#main?.runs !== true) return false;
    this.#state = 'reloading';
    this.#asked = this.#world.now();
    this.#deadline = this.#asked + PATIENCE;
    this.#main.raise('SIGHUP');
    return true;
  }

  /** systemctl stop. */
  stop(): void {
    this.#isStopped = true;
    if (this.#state === 'inactive' || this.#state === 'stopping') return;
    this.#stops();
    this.#main?.raise('SIGTERM');
    if (this.#main?.runs !== true) this.#mainIsGone();
  }

  /** It has no time, or has again. */
  stall(on: boolean): void {
    this.#isStalled = on;
    if (!on) this.look();
  }

  tell(from: SimulatedProcess, notification: Notification | undefined, heard = () => {}): void {
    this.#queue.push({ from, notification, heard });
    this.#world.after(this.#world.delay(), () => this.look());
  }

  /** Hears what it was told, and looks what is too late. */
  look(): void {
    if (this.#isStalled) return;
    for (const told of this.#queue.splice(0)) {
      if (told.notification !== undefined) this.#hear(told.from, told.notification);
      told.heard();
    }
    this.#lookForEnds();
    const now = this.#world.now();
    if (now > this.#deadline) this.#isLate();
    if (now > this.#sign) this.#isSilent();
  }

  /** When something is too late. */
  get next(): number {
    return Math.min(this.#deadline, this.#sign);
  }

  #hear(from: SimulatedProcess, told: Notification): void {
    const { violated, now } = this.#world;
    if (told.STOPPING === 1 && from !== this.#main && this.#main?.runs === true && this.#state !== 'inactive')
      violated(`STOPPING=1 by ${from.pid}, which is not the main process`);
    if (from !== this.#main && (this.#options.notifyAccess === 'main' || from.isReaped)) return;
    if (told.MAINPID !== undefined) {
      const process = this.#world.processes.find(({ pid }) => pid === told.MAINPID);
      if (process === undefined) violated(`MAINPID=${told.MAINPID} is no process`);
      else if (process.runs && this.#state !== 'inactive') this.#main = process;
    }
    if (this.#state === 'inactive' || this.#state === 'stopping') return;
    const { RELOADING, READY, STOPPING, EXTEND_TIMEOUT_USEC, WATCHDOG, MONOTONIC_USEC } = told;
    const begins = RELOADING === 1 && (this.#asked === undefined || (MONOTONIC_USEC ?? 0) >= this.#asked * 1e3);
    if (STOPPING === 1) this.#stops();
    else if (READY === 1) {
      if (this.#state === 'starting' || begins || this.#asked === undefined) this.#goes();
    } else if (begins) {
      this.#state = 'reloading';
      this.#asked = undefined;
      this.#deadline = now() + PATIENCE;
    }
    const extended = now() + (EXTEND_TIMEOUT_USEC ?? 0) / 1e3;
    if (EXTEND_TIMEOUT_USEC !== undefined && this.#deadline !== Number.POSITIVE_INFINITY)
      this.#deadline = Math.max(this.#deadline, extended);
    if (EXTEND_TIMEOUT_USEC !== undefined && this.#sign !== Number.POSITIVE_INFINITY)
      this.#sign = Math.max(this.#sign, extended);
    if (WATCHDOG === 1) this.#guard();
  }

  #goes(): void {
    if (this.#state === 'starting') this.#guard();
    this.#state = 'active';
    this.#asked = undefined;
    this.#deadline = Number.POSITIVE_INFINITY;
  }

  #guard(): void {
    if (this.#options.watchdog > 0) this.#sign = this.#world.now() + this.#options.watchdog;
  }

  #stops(): void {
    this.#state = 'stopping';
    this.#asked = undefined;
    this.#deadline = this.#world.now() + PATIENCE;
    this.#sign = Number.POSITIVE_INFINITY;
  }

  /** Looks which ends it is told of: those of its own children, and of orphans. */
  #lookForEnds(): void {
    if (this.#state === 'inactive' || this.#isRestarting) return;
    const isSeen = (process: SimulatedProcess) => !process.runs && process.parent?.runs !== true;
    const living = this.#world.processes.filter(({ runs }) => runs);
    if (this.#options.exitType === 'cgroup' && this.#state !== 'stopping') {
      if (living.length === 0) this.#mainIsGone();
    } else if (this.#main !== undefined && isSeen(this.#main)) this.#mainIsGone();
  }

  #mainIsGone(): void {
    const isClean = this.#main?.end?.code === 'exited' && this.#main.end.status === 0;
    const left = this.#world.processes.filter(({ runs }) => runs);
    if (isClean && left.length > 0 && !this.#world.isDisturbed())
      this.#world.violated(`the service has ended, and ${left.map(({ pid }) => pid)} not`);
    // What is left of a control group is killed.
    for (const process of left) process.raise('SIGKILL');
    this.#sign = Number.POSITIVE_INFINITY;
    this.#deadline = Number.POSITIVE_INFINITY;
    if (isClean || this.#isStopped) {
      this.#state = 'inactive';
      return;
    }
    this.#isRestarting = true;
    this.#world.after(RESTART_PAUSE, () => this.start());
  }

  #isLate(): void {
    const { violated, isDisturbed } = this.#world;
    this.#deadline = Number.POSITIVE_INFINITY;
    if (!isDisturbed()) violated(`it is ${this.#state} for longer than ${PATIENCE} ms`);
    if (this.#state === 'reloading') this.#state = 'active';
    else this.#killAll();
    this.#asked = undefined;
  }

  #isSilent(): void {
    this.#sign = Number.POSITIVE_INFINITY;
    if (this.#main?.runs === true && !this.#main.isFrozen && !this.#world.isDisturbed())
      this.#world.violated(`process ${this.#main.pid} gives no sign of life`);
    this.#killAll();
  }

  #killAll(): void {
    for (const process of this.#world.processes) process.raise('SIGKILL');
    this.#lookForEnds();
  }
}
