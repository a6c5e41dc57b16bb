import {
  type Program,
  type ProgramStarted,
  type ProgramSystem,
  type StartLimit,
  Supervised,
  type SuperviseOptions,
  type SupervisionEvent,
  supervise,
} from '@sdrx/event';
import type { VirtualLoop } from '@sdrx/event/testing';
import { type Signal, signalNumber } from '@sdrx/linux';
import { BehaviorSubject, Observable, Subject, type Subscription } from 'rxjs';
import type { ProgramFate } from './simulated-process.js';
import type { StartLimitModel } from './start-limit-model.js';
import { SupervisionRules } from './supervision-rules.js';

/** How a program is kept running. */
export interface SupervisionOptions {
  readonly restart: NonNullable<SuperviseOptions['restart']>;
  readonly success: readonly (number | 'SIGTERM' | 'SIGSEGV')[];
  readonly backoff: Required<NonNullable<SuperviseOptions['backoff']>>;
  readonly hasLimit: boolean;
  readonly atLimit: 'give-up' | 'wait';
  readonly stopSignal: 'SIGTERM' | 'SIGINT';
  readonly deadline: number;
  readonly processGroup: boolean;
  readonly output: 'lines' | 'ignore';
  /** Whether by `Supervised`, which has promises, or `supervise`. */
  readonly isObject: boolean;
}

/** The usual way, with a short deadline. */
export const USUAL: SupervisionOptions = {
  restart: 'always',
  success: [0, 'SIGTERM'],
  backoff: { first: 100, most: 10_000, factor: 2, jitter: 0, stableAfter: 10_000 },
  hasLimit: false,
  atLimit: 'give-up',
  stopSignal: 'SIGTERM',
  deadline: 500,
  processGroup: true,
  output: 'lines',
  isObject: false,
};

/** What somebody does the moment that he is told something. */
export interface Reaction {
  /** What he is told; `program` is that he is asked what to start, `watchdog` what to watch it by. */
  readonly to: SupervisionEvent['type'] | 'program' | 'watchdog';
  readonly by: 'stop' | 'stop twice' | 'unsubscribe' | 'pause' | 'go on' | 'throw';
}

/** A limit of starts, and what is known of it. */
export interface WatchedLimit {
  readonly limit: StartLimit;
  readonly model: StartLimitModel;
}

/** A program that is kept running, with all that is done to it and told of it under the eyes of the rules. */
export class WatchedSupervision {
  readonly rules: SupervisionRules;
  readonly options: SupervisionOptions;
  /** All that was told. */
  readonly events: SupervisionEvent[] = [];
  /** What is done when it is told something next. */
  reaction: Reaction | undefined;
  readonly #loop: VirtualLoop;
  readonly #requests = new Subject<void>();
  readonly #paused = new BehaviorSubject(false);
  readonly #object: Supervised | undefined;
  readonly #subscription: Subscription;
  #isStopping = false;

  /** @param fate what becomes of the run that has begun */
  constructor(
    loop: VirtualLoop,
    readonly name: string,
    options: SupervisionOptions,
    limit: WatchedLimit | undefined,
    system: ProgramSystem,
    readonly fate: () => ProgramFate,
  ) {
    const { restart, success, backoff, atLimit, stopSignal, deadline, processGroup, output, isObject } = options;
    this.options = options;
    this.#loop = loop;
    this.rules = new SupervisionRules(
      {
        name,
        restart,
        success: success.filter((item) => typeof item === 'number'),
        signals: success.flatMap((item) => (typeof item === 'number' ? [] : [signalNumber(item)])),
        backoff,
        limit: limit?.model,
        atLimit,
      },
      () => loop.now(),
    );
    const all: SuperviseOptions = {
      restart,
      success,
      backoff,
      ...(limit !== undefined && { limit: limit.limit, atLimit }),
      stop: { signal: stopSignal as Signal, deadline, on: this.#requests },
      processGroup,
      output,
      ...(output === 'lines' && { paused: this.#paused }),
      watchdog: (started) => this.#watchdog(started),
      system,
    };
    const program = (attempt: number) => this.#program(attempt);
    this.#object = isObject ? new Supervised(loop, program, all) : undefined;
    this.#subscription = (this.#object?.events ?? supervise(loop, program, all)).subscribe({
      next: (event) => this.#told(event),
      error: (error) => this.rules.failed(error),
      complete: () => this.rules.completed(),
    });
    // It may be rejected long before somebody asks.
    this.#object?.finished.catch(() => {});
  }

  /** Asks it to end: the second time, at once. */
  stop(): void {
    this.rules.requested();
    if (this.#object === undefined) this.#requests.next();
    else if (this.#isStopping) void this.#object.stop({ signal: AbortSignal.abort() }).catch(() => {});
    else void this.#object.stop().catch(() => {});
    this.#isStopping = true;
  }

  unsubscribe(): void {
    this.rules.disposed();
    if (this.#object === undefined) this.#subscription.unsubscribe();
    else this.#object[Symbol.dispose]();
  }

  pause(on: boolean): void {
    this.rules.isPaused = on;
    if (this.rules.run !== undefined) this.rules.run.isPaused = on;
    this.#paused.next(on);
  }

  check(): void {
    this.rules.check();
    const { run } = this.rules;
    if (this.#object === undefined || this.rules.isOver) return;
    if (this.#object.pid !== run?.facts.leader.pid) this.rules.violated(`its pid is ${this.#object.pid}`);
  }

  #program(attempt: number): Program {
    this.rules.attempted(attempt);
    this.#react('program');
    return { file: this.name };
  }

  #told(event: SupervisionEvent): void {
    this.events.push(event);
    this.rules.told(event);
    this.#react(event.type);
  }

  #react(to: Reaction['to']): void {
    const { reaction } = this;
    if (reaction?.to !== to) return;
    this.reaction = undefined;
    const { by } = reaction;
    if (by === 'throw') this.#throw(to);
    else if (by === 'unsubscribe') this.unsubscribe();
    else if (by === 'pause' || by === 'go on') this.pause(by === 'pause');
    else {
      this.stop();
      if (by === 'stop twice') this.stop();
    }
  }

  /** What one throws who is asked something is what it fails with. */
  #throw(to: Reaction['to']): void {
    if (to !== 'program' && to !== 'watchdog') return;
    const error = new Error(`no ${to}`);
    this.rules.mustFail(error);
    throw error;
  }

  /** One that watches as the fate of the run has it, and must not watch any longer than the run is there. */
  #watchdog({ attempt, pid }: ProgramStarted): Observable<unknown> {
    const { run } = this.rules;
    if (attempt !== run?.facts.attempt || pid !== run.facts.leader.pid) this.rules.violated('the watchdog of nobody');
    const { watchdog, watchdogAfter } = this.fate();
    this.#react('watchdog');
    return new Observable((subscriber) => {
      this.rules.watchdogs++;
      subscriber.add(() => this.rules.watchdogs--);
      const comes = () => {
        if (watchdog === 'value' || watchdog === 'error') this.rules.run?.hangs();
        if (watchdog === 'value') subscriber.next(undefined);
        else if (watchdog === 'error') subscriber.error(new Error('it hangs'));
        else subscriber.complete();
      };
      if (watchdog === 'nothing') return;
      if (watchdogAfter === 0) comes();
      else
        subscriber.add(this.#loop.time({ after: watchdogAfter, accuracy: 0, description: 'world' }).subscribe(comes));
    });
  }
}
