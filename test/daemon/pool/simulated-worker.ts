import type { Condition, StartedWorker, WorkerOptions, WorkerProcess } from '@sdrx/daemon';
import type { VirtualChild } from '@sdrx/event/testing';
import { type Signal, signalNumber } from '@sdrx/linux';
import type { Unsubscribable } from 'rxjs';
import type { RefusingLoop } from './refusing-loop.js';

/** How a process ends. */
export interface End {
  readonly code: 'exited' | 'killed' | 'dumped';
  /** An exit status, or the number of a signal. */
  readonly status: number;
}

/** What becomes of a worker. */
export interface Fate {
  /** When it ends by itself, in milliseconds after its start; undefined: it does not. */
  readonly after: number | undefined;
  readonly end: End;
  /** The signals that it ends of; of `none` while it hangs in the kernel. */
  readonly obeys: 'all' | 'kill' | 'none';
  /** Whether it ever begins to work, and says so. */
  readonly begins: boolean;
  /** How many processes of its own it leaves behind. */
  readonly orphans: number;
}

/** When it is tried again to watch one, in milliseconds. */
const WATCH_RETRY = 1000;

/** What a worker has from its world, and tells it. */
export interface WorkerSurroundings {
  now(): number;
  /** The ids of the processes that the loop could not watch when it was asked to last, and ever. */
  readonly loop: Pick<RefusingLoop, 'unwatched' | 'refused' | 'refusedAt'>;
  /** One that has waited begins. */
  began(): void;
  /** It has ended. */
  ended(worker: SimulatedWorker): void;
  /** The pool has heard of its end. */
  told(worker: SimulatedWorker, end: End): void;
}

/** A worker's process, which is no process: a child of a virtual loop. */
export class SimulatedWorker implements WorkerProcess, StartedWorker {
  readonly process = this;
  readonly child: number;
  readonly begin: (() => void) | undefined;
  readonly slot: number | undefined;
  /** When it was started, or told to begin. */
  startedAt: number;
  readonly signals: Signal[] = [];
  signalledAt = 0;
  /** What the log has to say of its end. */
  readonly obituary: (readonly [level: 'warning' | 'debug', message: string])[] = [];
  condition: Condition;
  conditionSince: number;
  /** Since when it gives no sign of life. */
  silentSince: number | undefined;
  accepted = 0;
  /** Brings its end, if that is to come by itself. */
  clock: Unsubscribable | undefined;
  #isWaiting: boolean;
  #end: End | undefined;
  #isTold = false;

  constructor(
    readonly virtual: VirtualChild,
    readonly fate: Fate,
    { slot, waits }: Pick<WorkerOptions, 'slot' | 'waits'>,
    readonly surroundings: WorkerSurroundings,
  ) {
    this.child = virtual.pid;
    this.slot = slot;
    this.startedAt = surroundings.now();
    this.condition = fate.begins && !waits ? 'serving' : 'starting';
    this.conditionSince = this.startedAt;
    this.#isWaiting = waits;
    this.begin = waits ? () => this.#begin() : undefined;
  }

  get pid(): number {
    return this.virtual.pid;
  }

  /** Whether it has begun to work, and says so. */
  get hasBegun(): boolean {
    return this.fate.begins && !this.#isWaiting;
  }

  /** Whether it waits until it is told to begin. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** How it has ended. */
  get end(): End | undefined {
    return this.#end;
  }

  /** Whether the pool has heard of its end. */
  get isTold(): boolean {
    return this.#isTold;
  }

  /** Whether the loop could not watch it when it was asked to last. */
  get isUnwatched(): boolean {
    return this.surroundings.loop.unwatched.has(this.pid);
  }

  /** Whether it should have been tried again by now to watch it. */
  get isForgotten(): boolean {
    const { loop, now } = this.surroundings;
    return this.isUnwatched && now() - loop.refusedAt > WATCH_RETRY;
  }

  /** Whether the loop ever could not watch it. */
  get wasUnwatched(): boolean {
    return this.surroundings.loop.refused.has(this.pid);
  }

  kill(signal: Signal): boolean {
    if (this.#end !== undefined) return true;
    this.signals.push(signal);
    this.signalledAt = this.surroundings.now();
    const { obeys } = this.fate;
    if (signal === 'SIGKILL' && obeys !== 'none') this.finish({ code: 'killed', status: signalNumber('SIGKILL') });
    else if (obeys === 'all') this.finish({ code: 'exited', status: 0 });
    return true;
  }

  /** It ends. One that has ended already stays as it is. */
  finish(end: End): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    if (end.code === 'exited') this.virtual.exit(end.status);
    else this.virtual.die(end.status, end.code);
    this.clock?.unsubscribe();
    this.surroundings.ended(this);
  }

  /** It says from now on that it is so. One that has no slot, or has not begun, says nothing. */
  say(condition: Condition): void {
    if (this.slot === undefined || !this.hasBegun || this.condition === condition) return;
    this.condition = condition;
    this.conditionSince = this.surroundings.now();
  }

  #begin(): void {
    if (!this.#isWaiting) throw new Error(`worker ${this.pid} has begun already`);
    this.#isWaiting = false;
    if (this.#end !== undefined) return;
    this.surroundings.began();
    this.startedAt = this.surroundings.now();
    if (this.fate.begins) this.say('serving');
    this.conditionSince = this.startedAt;
  }

  [Symbol.dispose](): void {
    if (this.#isTold || this.#end === undefined) return;
    this.#isTold = true;
    this.surroundings.told(this, this.#end);
  }
}
