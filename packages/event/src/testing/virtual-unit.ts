import { ServiceFailureError } from './service-failure-error.js';

/** Where a service stands, in the words of ActiveState=. systemd(1) */
export type UnitState = 'activating' | 'active' | 'reloading' | 'deactivating' | 'inactive' | 'failed';

/** How long a service manager waits, in milliseconds; Infinity for ever. */
export interface UnitTimes {
  /** For READY=1, after the start and after a reload: TimeoutStartSec= */
  readonly startTimeout: number;
  /** For the end: TimeoutStopSec= */
  readonly stopTimeout: number;
  /** For a sign of life: WatchdogSec= */
  readonly watchdog: number;
}

/** What is waited for. */
interface Deadline {
  at: number;
  readonly failure: (at: number) => ServiceFailureError;
}

/**
 * What a service manager knows of a service with Type=notify-reload: where it stands, and until when it waits for what. All times
 * are milliseconds on the monotonic clock. systemd.service(5), sd_notify(3)
 */
export class VirtualUnit {
  readonly #startTimeout: number;
  readonly #stopTimeout: number;
  #watchdogTimeout: number;
  #state: UnitState = 'activating';
  /** Since when a reload is asked for that the service has not begun. */
  #reloadAsked: number | undefined;
  /** Whether RELOADING was the newest that it said of itself. */
  #saysReloading = false;
  /** Of the start, the reload or the stop. */
  #deadline: Deadline | undefined;
  /** Of the next sign of life. */
  #watchdog: Deadline | undefined;
  #failure: ServiceFailureError | undefined;

  constructor({ startTimeout, stopTimeout, watchdog }: UnitTimes, now: number) {
    this.#startTimeout = startTimeout;
    this.#stopTimeout = stopTimeout;
    this.#watchdogTimeout = watchdog;
    this.#deadline = {
      at: now + startTimeout,
      failure: (at) => this.#fail('timeout', at, 'no READY=1 in time after the start (TimeoutStartSec=)'),
    };
  }

  get state(): UnitState {
    return this.#state;
  }

  /** When it is too late for something; Infinity if nothing is waited for. */
  get deadline(): number {
    return Math.min(this.#deadline?.at ?? Number.POSITIVE_INFINITY, this.#watchdog?.at ?? Number.POSITIVE_INFINITY);
  }

  /** What the service has said, by its variables. */
  told(variables: Readonly<Record<string, string>>, now: number): void {
    if (this.#state === 'inactive' || this.#state === 'failed') return;
    const { WATCHDOG, WATCHDOG_USEC, EXTEND_TIMEOUT_USEC } = variables;
    this.#follow(variables, now);
    if (EXTEND_TIMEOUT_USEC !== undefined) this.#extend(now + Number(EXTEND_TIMEOUT_USEC) / 1e3);
    if (WATCHDOG_USEC !== undefined) this.#watchdogTimeout = Number(WATCHDOG_USEC) / 1e3 || Number.POSITIVE_INFINITY;
    if ((WATCHDOG ?? WATCHDOG_USEC) !== undefined) this.#guard(now);
    if (WATCHDOG === 'trigger') this.#failure ??= this.#fail('watchdog', now, 'WATCHDOG=trigger');
  }

  /** The service, which is active, is asked to reload. */
  reload(now: number): void {
    this.#beginReload(now);
    this.#reloadAsked = now;
  }

  /** The service is asked to end. */
  stop(now: number): void {
    if (this.#state === 'deactivating' || this.#state === 'inactive' || this.#state === 'failed') return;
    this.#state = 'deactivating';
    // Until it gives one again.
    this.#watchdog = undefined;
    this.#deadline = {
      at: now + this.#stopTimeout,
      failure: (at) => this.#fail('timeout', at, 'the service has not ended in time (TimeoutStopSec=)'),
    };
  }

  /** The service has ended. */
  ended(): void {
    if (this.#state !== 'failed') this.#state = 'inactive';
    this.#watchdog = undefined;
    this.#deadline = undefined;
  }

  /** Notes that it is too late for what was to come before `now`. */
  elapse(now: number): void {
    this.#failIf((at) => at < now);
  }

  /** What it has failed for by now, once. */
  takeFailure(now: number): ServiceFailureError | undefined {
    this.#failIf((at) => at <= now);
    const failure = this.#failure;
    this.#failure = undefined;
    return failure;
  }

  #failIf(isOver: (at: number) => boolean): void {
    for (const deadline of [this.#watchdog, this.#deadline])
      if (deadline !== undefined && isOver(deadline.at)) this.#failure ??= deadline.failure(deadline.at);
  }

  /** STOPPING counts before READY, and that before RELOADING. While it starts, neither STOPPING nor RELOADING counts. */
  #follow({ READY, RELOADING, STOPPING, MONOTONIC_USEC }: Readonly<Record<string, string>>, now: number): void {
    // One that was begun before the signal may not know yet what the signal is about.
    const begins =
      RELOADING === '1' && (this.#reloadAsked === undefined || Number(MONOTONIC_USEC) >= this.#reloadAsked * 1e3);
    const isStarted = this.#state === 'active' || this.#state === 'reloading';
    if (RELOADING === '1') this.#saysReloading = true;
    if (STOPPING === '1') {
      if (isStarted) this.stop(now);
    } else if (READY === '1') {
      this.#saysReloading = false;
      if (this.#state === 'activating') {
        this.#go();
        this.#guard(now);
      } else if (this.#state === 'reloading' && (this.#reloadAsked === undefined || begins)) this.#go();
    } else if (begins && isStarted) this.#beginReload(now);
  }

  #go(): void {
    this.#state = 'active';
    this.#reloadAsked = undefined;
    this.#deadline = undefined;
  }

  #beginReload(now: number): void {
    this.#state = 'reloading';
    this.#reloadAsked = undefined;
    this.#deadline = {
      at: now + this.#startTimeout,
      failure: (at) => {
        const what = this.#reloadAsked === undefined ? 'READY=1' : 'RELOADING=1 with MONOTONIC_USEC';
        // The service goes on. If it still says that it reloads, it is one more.
        this.#go();
        if (this.#saysReloading) this.#beginReload(at);
        return new ServiceFailureError('timeout', at, `no ${what} in time after a reload was begun (TimeoutStartSec=)`);
      },
    };
  }

  /** The time for the next sign of life begins. */
  #guard(now: number): void {
    const timeout = this.#watchdogTimeout;
    this.#watchdog = {
      at: now + timeout,
      failure: (at) => this.#fail('watchdog', at, `no WATCHDOG=1 for ${timeout} ms (WatchdogSec=)`),
    };
  }

  /** Never makes a time shorter. */
  #extend(until: number): void {
    for (const deadline of [this.#watchdog, this.#deadline])
      if (deadline !== undefined) deadline.at = Math.max(deadline.at, until);
  }

  #fail(result: 'timeout' | 'watchdog', at: number, why: string): ServiceFailureError {
    this.#state = 'failed';
    this.#watchdog = undefined;
    this.#deadline = undefined;
    return new ServiceFailureError(result, at, why);
  }
}
