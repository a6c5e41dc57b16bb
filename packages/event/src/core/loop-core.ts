import { type Clock, checkInteger, EBUSY, ECHILD, ESTALE, SystemError } from '@sdrx/linux';
import type { Kernel } from '../kernel/kernel.js';
import { Clocks } from './clocks.js';
import type { Dispatchable, SourceState } from './dispatchable.js';
import { KernelPriorities } from './kernel-priorities.js';
import { PendingQueue } from './pending.js';
import { Preparation } from './preparation.js';
import type { LoopState, Scheduler } from './scheduler.js';
import { SignalHub } from './signal-hub.js';
import { SlowHandlers } from './slow-handlers.js';
import { SourceList } from './source-list.js';
import { type DispatchListener, Stopwatch } from './stopwatch.js';
import { surface } from './surface.js';
import { Timers } from './timers.js';
import { Turns } from './turns.js';

/** How many dispatches may pass before the kernel is asked again, when no source of a higher priority demands it. */
const BATCH = 64;

/** What ESTALE means of a loop. */
const FINISHED = 'the loop has finished, and a loop runs only once';

/**
 * The state machine that all sources share: prepare (arm the timers), ask the kernel, dispatch what is pending in order, exit. What
 * comes from outside comes from the kernel: there is no system call in it.
 */
export class LoopCore implements Scheduler, Disposable {
  readonly kernel: Kernel;
  readonly signals: SignalHub;
  readonly #queue = new PendingQueue<Dispatchable>();
  readonly #exitQueue = new PendingQueue<Dispatchable>();
  readonly #postSources = new Set<Dispatchable>();
  readonly #exitSources = new Set<Dispatchable>();
  readonly #preparation = new Preparation();
  readonly #kernelPriorities = new KernelPriorities();
  readonly #sources = new SourceList();
  readonly #slowHandlers: SlowHandlers | undefined;
  /** Only there while somebody wants to know. */
  #stopwatch: Stopwatch | undefined;
  readonly #clocks: Clocks;
  readonly #turns: Turns;
  readonly #timers = new Map<Clock, Timers>();

  #phase: 'initial' | 'running' | 'exiting' | 'finished' = 'initial';
  /** What of a user's is being called. */
  #calling: 'preparing' | 'running' | undefined;
  /** How many dispatches there may be before the kernel is asked again. */
  #batch = 0;
  /** The highest priority of what only the kernel makes pending, as it was when the kernel was asked last. */
  #highestAsked = Number.POSITIVE_INFINITY;
  #iteration = 0;
  /** Whether the current iteration has begun, and waits for something to dispatch. */
  #begun = false;
  #collected: (() => void)[] = [];
  #exitCode: number | undefined;
  #finished: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  /** @param slow how long a handler may take before it is warned of, in milliseconds */
  constructor(kernel: Kernel, slow?: number) {
    this.kernel = kernel;
    if (slow !== undefined) {
      this.#slowHandlers = new SlowHandlers(slow);
      this.measure(this.#slowHandlers);
    }
    this.signals = new SignalHub(kernel);
    this.#clocks = new Clocks(kernel);
    this.#turns = new Turns(kernel, (limit) => this.#iterate(limit));
  }

  get state(): LoopState {
    if (this.#phase !== 'running') return this.#phase;
    return this.#calling ?? (this.#queue.size > 0 ? 'pending' : 'armed');
  }

  get iteration(): number {
    return this.#iteration;
  }

  timers(clock: Clock): Timers {
    let timers = this.#timers.get(clock);
    if (timers === undefined) {
      timers = new Timers(clock, this.kernel);
      this.#timers.set(clock, timers);
    }
    return timers;
  }

  currentTime(clock: Clock): number {
    return this.#calling === undefined ? this.kernel.now(clock) : this.#clocks.read(clock);
  }

  requireUsable(description: string | undefined): void {
    this.#refuseFork();
    if (this.#phase === 'finished') throw new SystemError(ESTALE, 'EventLoop', description, FINISHED);
  }

  add(source: Dispatchable): void {
    this.#sources.add(source);
    this.#slowHandlers?.add(source);
    if (source.origin === 'kernel') this.#kernelPriorities.add(source.priority);
    else if (source.origin === 'post') this.#postSources.add(source);
    else if (source.origin === 'exit') {
      this.#exitSources.add(source);
      if (this.#phase === 'exiting') this.enqueue(source);
    }
    if (!source.prepares) return;
    this.#preparation.add(source);
    if (this.#calling === undefined) this.#begun = false;
    this.wake();
  }

  delete(source: Dispatchable): void {
    this.#sources.delete(source);
    this.#queueOf(source).remove(source);
    if (source.origin === 'kernel') this.#kernelPriorities.delete(source.priority);
    else if (source.origin === 'post') this.#postSources.delete(source);
    else if (source.origin === 'exit') this.#exitSources.delete(source);
    if (source.prepares) this.#preparation.delete(source);
  }

  enqueue(source: Dispatchable): void {
    this.#stopwatch?.pends(source);
    this.#queueOf(source).add(source);
    this.wake();
  }

  hold(source: Dispatchable): void {
    this.#stopwatch?.pends(source);
  }

  dequeue(source: Dispatchable): void {
    this.#stopwatch?.withdrawn(source);
    this.#queueOf(source).remove(source);
  }

  restore(source: Dispatchable): void {
    this.#queueOf(source).restore(source);
    this.wake();
  }

  reprioritize(source: Dispatchable & { priority: number }, priority: number): void {
    const queue = this.#queueOf(source);
    const pending = source.bucket !== undefined;
    queue.remove(source);
    if (source.origin === 'kernel') {
      this.#kernelPriorities.delete(source.priority);
      this.#kernelPriorities.add(priority);
    }
    source.priority = priority;
    if (pending) queue.restore(source);
  }

  wake(): void {
    if (this.#phase !== 'initial' && this.#phase !== 'finished') this.#turns.wake();
  }

  askKernel(): void {
    this.#batch = 0;
  }

  afterCollecting(call: () => void): void {
    this.#collected.push(call);
  }

  /** @throws ESTALE when the loop has finished, EBUSY while it runs, ECHILD in a forked process */
  run(): Promise<number> {
    this.#refuseFork();
    if (this.#phase === 'finished') throw new SystemError(ESTALE, 'EventLoop.run', undefined, FINISHED);
    if (this.#phase !== 'initial') throw new SystemError(EBUSY, 'EventLoop.run', undefined, 'the loop runs already');
    this.kernel.begin(() => this.wake());
    this.#phase = 'running';
    this.wake();
    return new Promise((resolve, reject) => {
      this.#finished = () => {
        if (this.#failure !== undefined) reject(this.#failure.error);
        else resolve(this.#exitCode ?? 0);
      };
    });
  }

  exit(code: number): void {
    this.#refuseFork();
    checkInteger('code', code);
    this.#exitCode = code;
    this.wake();
  }

  /** What there is to see of each source, in the order in which they were subscribed to. */
  describe(): SourceState[] {
    const stopwatch = this.#stopwatch;
    const sources = this.#sources.all();
    return sources.map((source) => ({ ...source.describe(), ...stopwatch?.read(source) }));
  }

  /** Measures all dispatches from now on, and tells of each. @returns a function that ends it */
  measure(listener: DispatchListener): () => void {
    this.#stopwatch ??= new Stopwatch(this.kernel);
    const stopwatch = this.#stopwatch;
    stopwatch.add(listener);
    return () => {
      stopwatch.delete(listener);
      if (!stopwatch.used && this.#stopwatch === stopwatch) this.#stopwatch = undefined;
    };
  }

  /** Ends the loop by an error, which `run` rejects with; one that has finished has its result already. */
  abort(error: unknown): void {
    if (this.#phase === 'finished') return;
    this.#failure ??= { error };
    this.exit(1);
  }

  /** Frees everything; a loop that is running ends without its exit sources. */
  [Symbol.dispose](): void {
    if (this.#phase === 'finished') return;
    this.#phase = 'finished';
    for (const source of this.#sources.all()) {
      try {
        source.complete();
      } catch (error) {
        surface(error);
      }
    }
    for (const timers of this.#timers.values()) timers[Symbol.dispose]();
    this.kernel[Symbol.dispose]();
    this.#stopwatch?.finish();
    this.#finished?.();
  }

  /** Whether nothing but exit sources may be dispatched, after a user's code ran. */
  get #isOver(): boolean {
    return this.#exitCode !== undefined || this.#phase === 'finished';
  }

  #queueOf(source: Dispatchable): PendingQueue<Dispatchable> {
    return source.origin === 'exit' ? this.#exitQueue : this.#queue;
  }

  #refuseFork(): void {
    if (this.kernel.forked)
      throw new SystemError(ECHILD, 'EventLoop', undefined, 'the loop is that of the process that forked this one');
  }

  /** Up to `limit` iterations of one dispatch each. @returns whether there may be more to do without waiting */
  #iterate(limit: number): boolean {
    for (let left = limit; left > 0; left--) {
      if (this.#phase === 'finished') return false;
      if (this.#exitCode !== undefined) {
        this.#iterateExit();
        continue;
      }
      this.#prepare();
      if (this.#isOver) continue;
      let next = this.#queue.first();
      if (next === undefined || --this.#batch < 0 || this.#mayBePreceded(next)) {
        const called = this.#collect();
        if (this.#isOver) continue;
        next = this.#queue.first();
        if (next === undefined) {
          // What was called may have set timers.
          if (called) continue;
          // Node will tell when something is ready.
          return false;
        }
      }
      this.#queue.remove(next);
      this.#dispatch(next);
    }
    return true;
  }

  /**
   * Whether the kernel may have something that comes before this one. Not only of a higher priority: of what such a source made ready that
   * is gone since, the kernel has to be asked before others of that one's priority become ready again.
   */
  #mayBePreceded({ priority }: Dispatchable): boolean {
    return this.#kernelPriorities.highest < priority || this.#highestAsked < priority;
  }

  /** sd_event_prepare(3) */
  #prepare(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#iteration++;
    if (this.#preparation.size === 0) return;
    this.#batch = 0;
    this.#preparation.run(this.#iteration, (source) => this.#call('preparing', () => source.prepare()));
  }

  /** sd_event_wait(3), without the waiting, which is Node's part. @returns whether it called a user's code */
  #collect(): boolean {
    for (const timers of this.#timers.values()) timers.arm();
    this.kernel.ask();
    this.signals.take();
    const called = this.#collected.length > 0;
    // What it subscribes to is to be prepared for.
    if (called) this.#begun = false;
    while (this.#collected.length > 0) {
      const calls = this.#collected;
      this.#collected = [];
      for (const call of calls) this.#call('running', call);
    }
    this.#batch = Math.max(BATCH, this.#queue.size);
    this.#highestAsked = this.#kernelPriorities.highest;
    return called;
  }

  /** sd_event_dispatch(3) */
  #dispatch(source: Dispatchable): void {
    this.#begun = false;
    if (!source.admit()) return;
    if (source.origin !== 'post' && this.#postSources.size > 0) {
      for (const post of this.#postSources) if (!post.suspended) this.enqueue(post);
    }
    this.#clocks.restart();
    source.dispatches++;
    this.#calling = 'running';
    try {
      if (this.#stopwatch === undefined) source.dispatch();
      else this.#stopwatch.call(source, () => source.dispatch());
    } catch (error) {
      surface(error);
    }
    this.#calling = undefined;
  }

  /** Calls what is a user's beside a handler. */
  #call(what: 'preparing' | 'running', call: () => void): void {
    this.#clocks.restart();
    this.#calling = what;
    try {
      call();
    } catch (error) {
      surface(error);
    }
    this.#calling = undefined;
  }

  #iterateExit(): void {
    if (this.#phase === 'running') {
      this.#phase = 'exiting';
      for (const source of this.#exitSources) this.enqueue(source);
    }
    const next = this.#exitQueue.first();
    if (next === undefined) {
      this[Symbol.dispose]();
      return;
    }
    this.#exitQueue.remove(next);
    this.#iteration++;
    this.#dispatch(next);
  }
}
