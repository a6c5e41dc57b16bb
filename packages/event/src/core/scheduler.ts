import type { Clock, SignalInfo } from '@sdrx/linux';
import type { Kernel } from '../kernel/kernel.js';
import type { Dispatchable } from './dispatchable.js';
import type { Source } from './source.js';
import type { Timers } from './timers.js';

/**
 * Where a loop stands. Not run yet, `initial`; while it runs, `preparing` in a `prepare` callback, `running` in a handler,
 * else `pending` when sources wait for their turn and `armed` when the loop waits for the kernel; then `exiting`, and
 * `finished` for good. sd_event_get_state(3)
 */
export type LoopState = 'initial' | 'preparing' | 'armed' | 'pending' | 'running' | 'exiting' | 'finished';

/** What sources need of their loop. */
export interface Scheduler {
  readonly kernel: Kernel;
  readonly state: LoopState;
  /** @throws ESTALE once the loop finished, ECHILD in a forked process */
  requireUsable(description: string | undefined): void;
  /** Adds a source that is being subscribed to. */
  add(source: Dispatchable): void;
  /** Forgets a source. */
  delete(source: Dispatchable): void;
  /** Puts a pending source in the queue. */
  enqueue(source: Dispatchable): void;
  /** A source is pending, but its rate limit keeps it out of the queue. */
  hold(source: Dispatchable): void;
  /** Takes a pending source out of the queue. */
  dequeue(source: Dispatchable): void;
  /** Puts a source that has been pending in the queue again, at its old place. */
  restore(source: Dispatchable): void;
  /** Gives a source another priority; if it is pending, its place among those of the same is by how long it has been. */
  reprioritize(source: Dispatchable & { priority: number }, priority: number): void;
  /** The loop's timers on one clock. */
  timers(clock: Clock): Timers;
  /** The signals that its sources listen to. */
  readonly signals: SignalQueue;
  /** The time on a clock, in milliseconds; within a handler the same whenever it is asked for. */
  currentTime(clock: Clock): number;
  /** Has the kernel asked before the next dispatch, whatever its priority. */
  askKernel(): void;
  /** Calls back before the next dispatch; for what is found out while the kernel is asked and calls a user's code. */
  afterCollecting(call: () => void): void;
  /** Makes sure that an iteration follows, with its timers armed; for changes from outside of one. */
  wake(): void;
  /** Begins the exit; the last code given is the one that counts. @throws ECHILD in a forked process */
  exit(code: number): void;
}

/** The signals that a loop's sources listen to. */
export interface SignalQueue {
  /** Whether signals were left in the kernel for a source that has its turn before them. */
  readonly left: boolean;
  /**
   * Has the source become pending with each such signal.
   * @returns a function that ends it.
   * @throws as `Kernel.signal`
   */
  listen(signo: number, source: Source<SignalInfo>): () => void;
}
