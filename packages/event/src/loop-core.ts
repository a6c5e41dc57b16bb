import {
  atLoad,
  type Clock,
  checkClock,
  checkInteger,
  EBUSY,
  ECHILD,
  ESTALE,
  IN_EXCL_UNLINK,
  isForked,
  NodePoll,
  now,
  SystemError,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { checkSourceOptions } from './check-options.js';
import { InotifyHub } from './inotify-hub.js';
import { KernelPriorities } from './kernel-priorities.js';
import { PendingQueue } from './pending.js';
import { SignalHub } from './signal-hub.js';
import type { Attach, Dispatchable, SourceKind, SourceOptions } from './source.js';
import { SourceObservable, surface } from './source-observable.js';
import { Timers } from './timers.js';
import { Watcher } from './watcher.js';

/** How long the loop runs without giving Node's own timers, promises and I/O a turn, in milliseconds. */
const TURN = 1;

/** How many dispatches may pass before the kernel is asked again, when no source of a higher priority demands it. */
const BATCH = 64;

/** Dispatches that take less than this together, in milliseconds, are not worth a look at the clock each, … */
const QUICK = TURN / 10;

/** … but no more than so many: the next ones may be slow. */
const STRIDE = 16;

/** What ESTALE means of a loop. */
const FINISHED = 'the loop has finished, and a loop runs only once';

/**
 * Where a loop stands. Not run yet, `initial`; while it runs, `preparing` in a `prepare` callback, `running` in a handler,
 * else `pending` when sources wait for their turn and `armed` when the loop waits for the kernel; then `exiting`, and
 * `finished` for good. sd_event_get_state(3)
 */
export type LoopState = 'initial' | 'preparing' | 'armed' | 'pending' | 'running' | 'exiting' | 'finished';

/**
 * The state machine that all sources share: prepare (arm the timers), ask the kernel, dispatch what is pending in order,
 * exit. It runs inside Node's loop, which watches one fd for it, the epoll instance, and only while the loop runs.
 */
export class LoopCore implements Disposable {
  readonly #queue = new PendingQueue<Dispatchable>();
  readonly #exitQueue = new PendingQueue<Dispatchable>();
  #newest: Dispatchable | undefined;
  readonly #postSources = new Set<Dispatchable>();
  readonly #exitSources = new Set<Dispatchable>();
  /** Those with a `prepare`, and the iteration in which it was called last. */
  readonly #preparing = new Map<Dispatchable, number>();
  readonly #kernelPriorities = new KernelPriorities();
  readonly signals = new SignalHub();
  /** The files that are watched. */
  readonly inotify = new InotifyHub();
  /** Those of sources with IN_EXCL_UNLINK. */
  readonly exclusiveInotify = new InotifyHub(IN_EXCL_UNLINK);
  readonly #timers = new Map<Clock, Timers>();
  #watcher: Watcher | undefined;
  #poll: NodePoll | undefined;

  #phase: 'initial' | 'running' | 'exiting' | 'finished' = 'initial';
  /** What of a user's is being called. */
  #calling: 'preparing' | 'running' | undefined;
  #scheduled = false;
  /** How many dispatches there may be before the next look at the clock. */
  #stride = 1;
  /** How many dispatches there may be before the kernel is asked again. */
  #batch = 0;
  #iteration = 0;
  /** Whether the current iteration has begun, and waits for something to dispatch. */
  #begun = false;
  /** What the clocks showed when they were first asked in the current iteration. */
  #times: Record<Clock, number> | undefined;
  #collected: (() => void)[] = [];
  #exitCode: number | undefined;
  #finished: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  get state(): LoopState {
    if (this.#phase !== 'running') return this.#phase;
    return this.#calling ?? (this.#queue.size > 0 ? 'pending' : 'armed');
  }

  get iteration(): number {
    return this.#iteration;
  }

  /** The loop's fds to wait for. */
  get watcher(): Watcher {
    this.#watcher ??= new Watcher();
    return this.#watcher;
  }

  /** The loop's timers on one clock. */
  timers(clock: Clock): Timers {
    let timers = this.#timers.get(clock);
    if (timers === undefined) {
      timers = new Timers(clock, this.watcher);
      this.#timers.set(clock, timers);
    }
    return timers;
  }

  /** The time on a clock, in milliseconds; within a handler the same whenever it is asked for. */
  currentTime(clock: Clock): number {
    if (this.#calling === undefined) return now(clock);
    if (this.#times === undefined) {
      // All at once, so that they belong together.
      const [realtime, boottime] = [now('realtime'), now('boottime')];
      this.#times = {
        realtime,
        'realtime-alarm': realtime,
        monotonic: now('monotonic'),
        boottime,
        'boottime-alarm': boottime,
      };
    }
    const time: number | undefined = this.#times[clock];
    if (typeof time !== 'number') checkClock(clock);
    return time;
  }

  /**
   * A cold Observable of a source: `attach` runs at subscription and sees to it that the source becomes pending; what it
   * returns runs at the end of the subscription and frees what it took. Subscribing fails with ESTALE once the loop
   * finished, ECHILD in a process that was forked from the loop's.
   */
  source<T, O extends SourceOptions = SourceOptions>(
    kind: SourceKind,
    options: O,
    attach: Attach<T, O>,
  ): Observable<T> {
    checkSourceOptions(options);
    return new SourceObservable(this, kind, options, attach);
  }

  /** Throws ESTALE once the loop finished, ECHILD in a forked process. */
  requireUsable(description: string | undefined): void {
    this.#refuseFork();
    if (this.#phase === 'finished') throw new SystemError(ESTALE, 'EventLoop', description, FINISHED);
  }

  /** Adds a source that is being subscribed to. */
  add(source: Dispatchable): void {
    source.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = source;
    this.#newest = source;
    if (source.kind === 'kernel') this.#kernelPriorities.add(source.priority);
    else if (source.kind === 'post') this.#postSources.add(source);
    else if (source.kind === 'exit') {
      this.#exitSources.add(source);
      if (this.#phase === 'exiting') this.enqueue(source);
    }
    if (!source.prepares) return;
    this.#preparing.set(source, 0);
    if (this.#calling === undefined) this.#begun = false;
    this.wake();
  }

  /** Forgets a source. */
  delete(source: Dispatchable): void {
    const { older, newer } = source;
    if (older !== undefined) older.newer = newer;
    if (newer !== undefined) newer.older = older;
    else this.#newest = older;
    source.older = source.newer = undefined;
    this.#queueOf(source).remove(source);
    if (source.kind === 'kernel') this.#kernelPriorities.delete(source.priority);
    else if (source.kind === 'post') this.#postSources.delete(source);
    else if (source.kind === 'exit') this.#exitSources.delete(source);
    if (source.prepares) this.#preparing.delete(source);
  }

  /** Puts a pending source in the queue. */
  enqueue(source: Dispatchable): void {
    this.#queueOf(source).add(source);
    this.wake();
  }

  /** Takes a pending source out of the queue. */
  dequeue(source: Dispatchable): void {
    this.#queueOf(source).remove(source);
  }

  /** Puts a source that has been pending in the queue again, at its old place. */
  restore(source: Dispatchable): void {
    this.#queueOf(source).restore(source);
    this.wake();
  }

  /** Gives a source another priority; if it is pending, its place among those of the same is by how long it has been. */
  reprioritize(source: Dispatchable & { priority: number }, priority: number): void {
    const queue = this.#queueOf(source);
    const pending = source.bucket !== undefined;
    queue.remove(source);
    if (source.kind === 'kernel') {
      this.#kernelPriorities.delete(source.priority);
      this.#kernelPriorities.add(priority);
    }
    source.priority = priority;
    if (pending) queue.restore(source);
  }

  /** Makes sure that an iteration follows, with its timers armed; for changes from outside of one. */
  wake(): void {
    if (this.#scheduled || this.#phase === 'initial' || this.#phase === 'finished') return;
    this.#scheduled = true;
    atLoad.setImmediate(this.#turn);
  }

  /** Has the kernel asked before the next dispatch, whatever its priority. */
  askKernel(): void {
    this.#batch = 0;
  }

  /** Calls back before the next dispatch; for what is found out while the kernel is asked and calls a user's code. */
  afterCollecting(call: () => void): void {
    this.#collected.push(call);
  }

  /** Throws ESTALE when the loop has finished, EBUSY while it runs, ECHILD in a forked process. */
  run(): Promise<number> {
    this.#refuseFork();
    if (this.#phase === 'finished') throw new SystemError(ESTALE, 'EventLoop.run', undefined, FINISHED);
    if (this.#phase !== 'initial') throw new SystemError(EBUSY, 'EventLoop.run', undefined, 'the loop runs already');
    this.#poll = new NodePoll(this.watcher.fd, () => this.wake());
    this.#phase = 'running';
    this.wake();
    return new Promise((resolve, reject) => {
      this.#finished = () => {
        if (this.#failure !== undefined) reject(this.#failure.error);
        else resolve(this.#exitCode ?? 0);
      };
    });
  }

  /** Begins the exit; the last code given is the one that counts. Throws ECHILD in a forked process. */
  exit(code: number): void {
    this.#refuseFork();
    checkInteger('code', code);
    this.#exitCode = code;
    this.wake();
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
    const sources: Dispatchable[] = [];
    for (let source = this.#newest; source !== undefined; source = source.older) sources.push(source);
    for (const source of sources.reverse()) {
      try {
        source.complete();
      } catch (error) {
        surface(error);
      }
    }
    for (const timers of this.#timers.values()) timers[Symbol.dispose]();
    this.#poll?.[Symbol.dispose]();
    this.#watcher?.[Symbol.dispose]();
    this.#finished?.();
  }

  /** Whether nothing but exit sources may be dispatched, after a user's code ran. */
  get #isOver(): boolean {
    return this.#exitCode !== undefined || this.#phase === 'finished';
  }

  #queueOf(source: Dispatchable): PendingQueue<Dispatchable> {
    return source.kind === 'exit' ? this.#exitQueue : this.#queue;
  }

  #refuseFork(): void {
    if (isForked())
      throw new SystemError(ECHILD, 'EventLoop', undefined, 'the loop is that of the process that forked this one');
  }

  /** Iterates for one turn of Node's loop; goes on in the next one if there is more to do. */
  #turn = (): void => {
    let time = atLoad.performanceNow();
    const end = time + TURN;
    let more = true;
    try {
      while (more && time < end) {
        more = this.#iterate(this.#stride);
        const before = time;
        time = atLoad.performanceNow();
        this.#stride = time - before < QUICK ? Math.min(this.#stride * 2, STRIDE) : 1;
      }
    } finally {
      // Also after an error of the loop itself, which must not leave it standing still without a word.
      this.#scheduled = false;
      if (more) this.wake();
    }
  };

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
      if (next === undefined || --this.#batch < 0 || this.#kernelPriorities.highest < next.priority) {
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

  /** sd_event_prepare(3) */
  #prepare(): void {
    if (this.#begun) return;
    this.#begun = true;
    this.#iteration++;
    if (this.#preparing.size === 0) return;
    this.#batch = 0;
    // Once more for those that are added by others.
    for (let due = this.#unprepared(); due.length > 0; due = this.#unprepared()) {
      for (const source of due) {
        if (!this.#preparing.has(source)) continue;
        this.#preparing.set(source, this.#iteration);
        this.#call('preparing', () => source.prepare());
      }
    }
  }

  #unprepared(): Dispatchable[] {
    return [...this.#preparing]
      .filter(([{ suspended }, iteration]) => iteration !== this.#iteration && !suspended)
      .map(([source]) => source)
      .sort((a, b) => a.priority - b.priority);
  }

  /** sd_event_wait(3), without the waiting, which is Node's part. @returns whether it called a user's code */
  #collect(): boolean {
    for (const timers of this.#timers.values()) timers.arm();
    if (!this.watcher.empty) this.watcher.poll();
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
    return called;
  }

  /** sd_event_dispatch(3) */
  #dispatch(source: Dispatchable): void {
    this.#begun = false;
    if (!source.admit()) return;
    if (source.kind !== 'post' && this.#postSources.size > 0) {
      for (const post of this.#postSources) if (!post.suspended) this.#queue.add(post);
    }
    this.#times = undefined;
    this.#calling = 'running';
    try {
      source.dispatch();
    } catch (error) {
      surface(error);
    }
    this.#calling = undefined;
  }

  /** Calls what is a user's beside a handler. */
  #call(what: 'preparing' | 'running', call: () => void): void {
    this.#times = undefined;
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
      for (const source of this.#exitSources) this.#exitQueue.add(source);
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
