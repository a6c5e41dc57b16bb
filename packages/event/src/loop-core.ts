import { type Clock, EBUSY, ESTALE, NodePoll, SystemError } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { InotifyHub } from './inotify-hub.js';
import { PendingQueue } from './pending.js';
import { SignalHub } from './signal-hub.js';
import { type Dispatchable, Source, type SourceKind, SourceObservable, type SourceOptions } from './source.js';
import { Timers } from './timers.js';
import { Watcher } from './watcher.js';

/** How long the loop runs without giving Node's own timers, promises and I/O a turn, in milliseconds. */
const TURN = 1;

/** How many dispatches may pass before the kernel is asked again, when no source of a higher priority demands it. */
const BATCH = 64;

/** Where the loop stands: it is run once, exits once, and stays finished. */
export type LoopState = 'initial' | 'running' | 'exiting' | 'finished';

type Teardown = (() => void) | undefined;

/**
 * The state machine that all sources share: prepare (arm the timers), ask the kernel, dispatch what is pending in order,
 * exit. It runs inside Node's loop, which watches one fd for it, the epoll instance, and only while the loop runs.
 */
export class LoopCore implements Disposable {
  readonly #queue = new PendingQueue<Dispatchable>();
  readonly #exitQueue = new PendingQueue<Dispatchable>();
  readonly #sources = new Set<Dispatchable>();
  readonly #postSources = new Set<Dispatchable>();
  /** The files that are watched. */
  readonly inotify = new InotifyHub();
  /** The signals that are listened to. */
  readonly signals = new SignalHub();
  readonly #timers = new Map<Clock, Timers>();
  readonly #kernelPriorities = new Map<number, number>();
  #highestKernelPriority = Number.POSITIVE_INFINITY;
  #watcher: Watcher | undefined;
  #poll: NodePoll | undefined;
  #scheduled = false;
  #state: LoopState = 'initial';
  #iteration = 0;
  #exitCode: number | undefined;
  #finished: (() => void) | undefined;
  #failure: { readonly error: unknown } | undefined;

  get state(): LoopState {
    return this.#state;
  }

  get iteration(): number {
    return this.#iteration;
  }

  get exitCode(): number | undefined {
    return this.#exitCode;
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

  /**
   * A cold Observable of a source: `attach` runs at subscription and sees to it that the source becomes pending; what it
   * returns runs at the end of the subscription and frees what it took. Subscribing throws ESTALE once the loop finished.
   */
  source<T>(kind: SourceKind, options: SourceOptions, attach: (source: Source<T>) => Teardown): Observable<T> {
    const { priority = 0, exitOnFailure = false } = options;
    if (!Number.isInteger(priority)) throw new RangeError(`priority must be an integer, not ${priority}`);
    if (typeof exitOnFailure === 'number' && !Number.isInteger(exitOnFailure)) {
      throw new RangeError(`exitOnFailure must be a boolean or an integer, not ${exitOnFailure}`);
    }
    const fail = (error: unknown): void => {
      if (exitOnFailure === false) surface(error);
      else this.exit(exitOnFailure === true ? 1 : exitOnFailure);
    };
    return new SourceObservable<T>(fail, (subscriber) => {
      if (this.#state === 'finished') throw new SystemError(ESTALE, 'EventLoop', options.description);
      const source = new Source<T>(this, kind, options, subscriber);
      const teardown = attach(source);
      this.#add(source);
      return () => {
        this.#delete(source);
        teardown?.();
      };
    });
  }

  /** Puts a pending source in the queue. */
  enqueue(source: Dispatchable): void {
    (source.kind === 'exit' ? this.#exitQueue : this.#queue).add(source);
    this.#schedule();
  }

  /** Makes sure that an iteration follows, with its timers armed; for changes from outside of one. */
  wake(): void {
    this.#schedule();
  }

  /** Throws ESTALE when the loop has finished, EBUSY while it runs. */
  run(): Promise<number> {
    if (this.#state !== 'initial') throw new SystemError(this.#state === 'finished' ? ESTALE : EBUSY, 'EventLoop.run');
    this.#state = 'running';
    this.#poll = new NodePoll(this.watcher.fd, () => this.#schedule());
    this.#schedule();
    return new Promise((resolve, reject) => {
      this.#finished = () => {
        if (this.#failure !== undefined) reject(this.#failure.error);
        else resolve(this.#exitCode ?? 0);
      };
    });
  }

  /** Begins the exit; the first code given is the one that counts. */
  exit(code: number): void {
    if (!Number.isInteger(code)) throw new RangeError(`an exit code must be an integer, not ${code}`);
    this.#exitCode ??= code;
    this.#schedule();
  }

  /** Ends the loop by an error, which `run` rejects with; one that has finished has its result already. */
  abort(error: unknown): void {
    if (this.#state === 'finished') return;
    this.#failure ??= { error };
    this.exit(1);
  }

  /** Frees everything; a loop that is running ends without its exit sources. */
  [Symbol.dispose](): void {
    if (this.#state === 'finished') return;
    this.#state = 'finished';
    for (const source of [...this.#sources]) source.complete();
    for (const timers of this.#timers.values()) timers[Symbol.dispose]();
    this.#poll?.[Symbol.dispose]();
    this.#watcher?.[Symbol.dispose]();
    this.#finished?.();
  }

  #add(source: Dispatchable): void {
    this.#sources.add(source);
    if (source.kind === 'post') this.#postSources.add(source);
    if (source.kind === 'exit' && this.#state === 'exiting') this.enqueue(source);
    if (source.kind !== 'kernel') return;
    const { priority } = source;
    this.#kernelPriorities.set(priority, (this.#kernelPriorities.get(priority) ?? 0) + 1);
    this.#highestKernelPriority = Math.min(this.#highestKernelPriority, priority);
  }

  #delete(source: Dispatchable): void {
    if (!this.#sources.delete(source)) return;
    (source.kind === 'exit' ? this.#exitQueue : this.#queue).remove(source);
    if (source.kind === 'post') this.#postSources.delete(source);
    if (source.kind !== 'kernel') return;
    const { priority } = source;
    const left = (this.#kernelPriorities.get(priority) ?? 1) - 1;
    if (left > 0) {
      this.#kernelPriorities.set(priority, left);
      return;
    }
    this.#kernelPriorities.delete(priority);
    if (priority > this.#highestKernelPriority) return;
    this.#highestKernelPriority = Number.POSITIVE_INFINITY;
    for (const used of this.#kernelPriorities.keys()) {
      if (used < this.#highestKernelPriority) this.#highestKernelPriority = used;
    }
  }

  #schedule(): void {
    if (this.#scheduled || this.#state === 'initial' || this.#state === 'finished') return;
    this.#scheduled = true;
    setImmediate(this.#turn);
  }

  /** Iterates for one turn of Node's loop; goes on in the next one if there is more to do. */
  #turn = (): void => {
    const end = performance.now() + TURN;
    let more = true;
    try {
      do more = this.#iterate(end);
      while (more && performance.now() < end);
    } finally {
      // Also after an error of the loop itself, which must not leave it standing still without a word.
      this.#scheduled = false;
      if (more) this.#schedule();
    }
  };

  /**
   * @param end when the turn is over, on the clock of `performance.now`
   * @returns whether there may be more to do without waiting
   */
  #iterate(end: number): boolean {
    if (this.#state === 'finished') return false;
    this.#iteration++;
    if (this.#exitCode !== undefined) return this.#iterateExit();
    this.#prepare();
    this.#collect();
    let dispatched = false;
    for (let left = Math.max(this.#queue.size, BATCH); left > 0 && this.#exitCode === undefined; left--) {
      // Whatever is left stays in the queue, in its order.
      if (dispatched && left % BATCH === 0 && performance.now() >= end) break;
      let next = this.#queue.first();
      if (next !== undefined && this.#highestKernelPriority < next.priority) {
        this.#prepare();
        this.#collect();
        next = this.#queue.first();
      }
      if (next === undefined) break;
      this.#queue.remove(next);
      this.#dispatch(next);
      dispatched = true;
    }
    // After a dispatch more may be ready; without one nothing was, and Node will tell when something is.
    return dispatched || this.#exitCode !== undefined;
  }

  /** sd_event_prepare(3) */
  #prepare(): void {
    for (const timers of this.#timers.values()) timers.arm();
  }

  /** sd_event_wait(3), without the waiting, which is Node's part */
  #collect(): void {
    if (!this.watcher.empty) this.watcher.poll();
  }

  /** sd_event_dispatch(3) */
  #dispatch(source: Dispatchable): void {
    if (source.kind !== 'post') for (const post of this.#postSources) this.#queue.add(post);
    try {
      source.dispatch();
    } catch (error) {
      surface(error);
    }
  }

  #iterateExit(): boolean {
    if (this.#state === 'running') {
      this.#state = 'exiting';
      for (const source of this.#sources) if (source.kind === 'exit') this.#exitQueue.add(source);
    }
    const next = this.#exitQueue.first();
    if (next !== undefined) {
      this.#exitQueue.remove(next);
      this.#dispatch(next);
      return true;
    }
    this[Symbol.dispose]();
    return false;
  }
}

/** Node's `uncaughtException`: the error is nobody's, and must not be lost. */
function surface(error: unknown): void {
  process.nextTick(() => {
    throw error;
  });
}
