import { BehaviorSubject, type Observable, ReplaySubject } from 'rxjs';
import type { EventLoop } from '../loop.js';
import { handOver } from '../restart/hand-over.js';
import type { HandOverPlan } from '../restart/hand-over-plan.js';
import { RestartError } from '../restart/restart-error.js';
import type { RestartSystem } from '../restart/restart-system.js';
import { leaveInheritance, leaveLastState } from '../restart/stored-inheritance.js';
import type { Successor } from '../restart/successor.js';
import { messageOf } from './message-of.js';
import { oneLine } from './one-line.js';
import type { ServiceEvent } from './service.js';
import type { RestartOptions } from './service-options.js';
import { tell } from './tell.js';

/** How many former processes may still have connections, by default, when another restart begins. */
const MOST_DRAINING = 2;

const NOT_KEPT =
  'the service manager may not keep what the next process is to have: set FileDescriptorStoreMax= in the unit to what it needs';

/** What restarts must know of the service that they are about. */
export interface RestartingService {
  readonly loop: EventLoop;
  readonly system: RestartSystem;
  /** Whether it has one connection, and will have no other. */
  readonly isConnection: boolean;
  /** Where it stands. */
  readonly stage: 'starting' | 'current' | 'ending';
  /** When a process that takes over is the service, or is not to be; at once in any other. */
  readonly succeeded: Promise<unknown>;
  /** How many former processes have connections still. */
  readonly draining: number;
  /** What it hands on by itself. */
  plan(): Pick<HandOverPlan, 'sockets' | 'servings' | 'draining' | 'generation'>;
  /** Says what happens. */
  happens(event: ServiceEvent): void;
  /** Another process is the service now, or will be. */
  giveWay(): void;
  /** The process that is the service now has ended without a word. */
  successorCrashed(pid: number): void;
  /** Removes what a process has left that was to be the next one. */
  cleanUpAfter(pid: number): void;
  report(error: unknown): void;
}

/** The restarts of a service: when there may be one, what the service manager is told of it, and what came of it. */
export class Restarts {
  readonly #service: RestartingService;
  readonly #options: RestartOptions;
  readonly #underWay = new BehaviorSubject(0);
  readonly #handedOver = new ReplaySubject<void>(1);
  readonly #givenUp = new AbortController();
  #attempt: Promise<number | undefined> | undefined;
  #successor: Successor | undefined;
  /** Whether the service manager was told that a reload is under way. */
  #isReload = false;
  /** Whether another reload was asked for meanwhile: whoever is the service in the end says that it is done. */
  #owesReload = false;

  constructor(service: RestartingService, options: RestartOptions) {
    this.#service = service;
    this.#options = options;
  }

  /** How many are under way: one or none. */
  get underWay(): Observable<number> {
    return this.#underWay;
  }

  /** Comes when another process is the service. */
  get handedOver(): Observable<void> {
    return this.#handedOver;
  }

  /** The process that is the service now, if that is not this one. */
  get successor(): Successor | undefined {
    return this.#successor;
  }

  /** Begins one. @returns the new process's id, undefined if the service manager starts it; rejects with RestartError */
  begin(): Promise<number | undefined> {
    const refusal = this.#refusal();
    if (refusal !== undefined) return Promise.reject(refusal);
    if (this.#isManagers) {
      this.#service.giveWay();
      return Promise.resolve(undefined);
    }
    // It is known to be under way before anything of it is done, and told of.
    this.#attempt = Promise.resolve().then(() => this.#handOver());
    this.#underWay.next(1);
    return this.#attempt;
  }

  /** The same for who asks from outside, and for the service manager, which sees it as a reload. What goes wrong is also reported. */
  async reload(): Promise<number | undefined> {
    try {
      // The service manager may know this process sooner than it knows itself.
      if (this.#service.stage === 'starting') await this.#service.succeeded;
      const refusal = this.#refusal();
      if (refusal !== undefined) {
        this.#answerRefused(refusal);
        throw refusal;
      }
      // A reload ends with READY, which is not this process's to say then.
      if (!this.#isManagers) {
        tell(this.#service.system, { ...this.#reloading(), STATUS: 'restarting' });
        this.#isReload = true;
      }
      return await this.begin();
    } catch (error) {
      this.#service.report(new Error(`not restarted: ${messageOf(error)}`, { cause: error }));
      throw error;
    }
  }

  /** Says that the service is reloaded: a reload was asked of the former process, and the restart has been since. */
  answerReload(): void {
    tell(this.#service.system, { ...this.#reloading(), READY: 1 });
  }

  /** Breaks off what is under way, if that can be, and waits until it is over. It may succeed still. */
  async giveUp(): Promise<void> {
    this.#givenUp.abort();
    await this.#attempt?.catch(() => {});
  }

  /** Says to the successor what this process knew at last, and lets it go. */
  sayLastWords(): void {
    using successor = this.#successor;
    if (successor === undefined && (!this.#isManagers || this.#service.isConnection)) return;
    const last = this.#options.last?.();
    if (last === undefined) return;
    if (successor === undefined) leaveLastState(last);
    else successor.tell(last);
  }

  /** Whether the service manager starts the next process, when this one has ended. */
  get #isManagers(): boolean {
    return this.#options.by === 'manager';
  }

  /** Leaves with the service manager what the next process is to know and have, if that is the way. */
  leaveInheritance(generation: number): void {
    // Nobody would start it again.
    if (!this.#isManagers || this.#service.isConnection || this.#service.system.environment.NOTIFY_SOCKET === undefined)
      return;
    const { state, fds } = this.#options;
    const isKept = leaveInheritance({ generation: generation + 1, state: state?.(), fds: fds?.() ?? {} });
    if (!isKept) this.#service.report(NOT_KEPT);
  }

  #refusal(): RestartError | undefined {
    const { stage, draining, isConnection } = this.#service;
    const { mostDraining = MOST_DRAINING } = this.#options;
    if (this.#successor !== undefined) return new RestartError('not-current', `process ${this.#successor.pid}`);
    if (stage === 'ending') return new RestartError('stopping');
    if (stage === 'starting') return new RestartError('not-ready');
    if (isConnection) return new RestartError('connection');
    if (this.#isManagers && this.#service.system.environment.NOTIFY_SOCKET === undefined)
      return new RestartError('manager');
    if (this.#attempt !== undefined) return new RestartError('in-progress');
    if (draining <= mostDraining) return undefined;
    return new RestartError('draining', `${draining} processes, at most ${mostDraining}`);
  }

  /** There is no word for a reload that has failed: the service manager must hear that it is over. */
  #answerRefused(refusal: RestartError): void {
    if (this.#successor !== undefined) this.#successor.reload();
    else if (refusal.reason === 'in-progress') this.#owesReload = true;
    // READY is nothing to say of a service that is not, nor is anything of one that ends.
    else if (this.#service.stage === 'current')
      tell(this.#service.system, { ...this.#reloading(), ...failed(refusal) });
  }

  #answerFailed(error: RestartError): void {
    if (this.#service.stage === 'ending') return;
    if (this.#owesReload) tell(this.#service.system, { ...this.#reloading(), ...failed(error) });
    else if (this.#isReload) tell(this.#service.system, failed(error));
  }

  async #handOver(): Promise<number> {
    try {
      const successor = await this.#replaceProcess();
      this.#giveWayTo(successor);
      return successor.pid;
    } catch (error) {
      const refusal =
        error instanceof RestartError ? error : new RestartError('failed', messageOf(error), { cause: error });
      this.#answerFailed(refusal);
      this.#service.happens({ type: 'restart-failed', error: refusal });
      throw refusal;
    } finally {
      this.#isReload = false;
      this.#owesReload = false;
      this.#attempt = undefined;
      this.#underWay.next(0);
    }
  }

  /** Whatever can't be told any more: the other process is the service. */
  #giveWayTo(successor: Successor): void {
    this.#successor = successor;
    this.#handedOver.next();
    try {
      // The signal was meant for the service, which the new process is.
      if (this.#service.stage === 'ending') successor.stop();
      if (this.#owesReload) successor.reload();
    } catch (error) {
      this.#service.report(error);
    }
    this.#service.happens({ type: 'restarted', pid: successor.pid });
    this.#service.giveWay();
    void successor.crashed.then(() => this.#service.successorCrashed(successor.pid));
  }

  async #replaceProcess(): Promise<Successor> {
    const { state, fds, readyWithin, program } = this.#options;
    let started: number | undefined;
    try {
      return await handOver(this.#service.loop, {
        ...this.#service.plan(),
        system: this.#service.system,
        fds: fds?.() ?? {},
        onPhase: (phase, pid) => {
          started = pid;
          this.#service.happens({ type: 'restarting', phase, pid });
        },
        signal: this.#givenUp.signal,
        ...(state === undefined ? {} : { state }),
        ...(readyWithin === undefined ? {} : { readyWithin }),
        ...(program === undefined ? {} : { program }),
      });
    } catch (error) {
      if (started !== undefined) this.#service.cleanUpAfter(started);
      throw error;
    }
  }

  #reloading(): { RELOADING: 1; MONOTONIC_USEC: number } {
    return { RELOADING: 1, MONOTONIC_USEC: this.#service.loop.now('monotonic') * 1e3 };
  }
}

function failed(error: RestartError): { READY: 1; STATUS: string } {
  return { READY: 1, STATUS: oneLine(`not restarted: ${messageOf(error)}`) };
}
