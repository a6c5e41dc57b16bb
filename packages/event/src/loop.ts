import type { ChildChange, Clock, Fd, Signal, SignalInfo } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import { LoopCore, type LoopState } from './loop-core.js';
import type { SourceOptions } from './source.js';
import { type Child, type ChildExit, type ChildExitOptions, type ChildOptions, child } from './sources/child.js';
import { type DeferOptions, defer } from './sources/defer.js';
import { exiting } from './sources/exiting.js';
import { type InotifyEvent, type InotifyOptions, inotify } from './sources/inotify.js';
import { type IoEvent, type IoOptions, io } from './sources/io.js';
import { type MemoryPressureOptions, memoryPressure } from './sources/memory-pressure.js';
import { post } from './sources/post.js';
import { signal } from './sources/signal.js';
import { type TimeEvent, type TimeOptions, time } from './sources/time.js';

/**
 * An event loop like sd-event's: sources with priorities, one epoll instance, a defined order. It runs inside Node's own
 * loop and keeps Node alive from `run` until it exits, no longer.
 *
 * A source is a cold Observable: to subscribe adds it, to unsubscribe removes it and frees what it holds. Sources may be
 * subscribed to before `run`; nothing is delivered until then. When the loop has exited they complete.
 */
export class EventLoop implements Disposable {
  readonly #core = new LoopCore();

  /** See `sources/io.ts`: an fd becomes ready. */
  io(fd: number | Fd, options?: IoOptions): Observable<IoEvent> {
    return io(this.#core, fd, options);
  }

  /** See `sources/time.ts`: a time on a clock, once or again and again. */
  time(options: TimeOptions): Observable<TimeEvent> {
    return time(this.#core, options);
  }

  /** See `sources/signal.ts`: the process receives a signal. */
  signal(which: Signal, options?: SourceOptions): Observable<SignalInfo> {
    return signal(this.#core, which, options);
  }

  /** See `sources/child.ts`: a child process ends, or stops and goes on. */
  child(which: Child, options?: ChildExitOptions): Observable<ChildExit>;
  child(which: Child, options?: ChildOptions): Observable<ChildChange>;
  child(which: Child, options?: ChildOptions): Observable<ChildChange> {
    return child(this.#core, which, options);
  }

  /** See `sources/inotify.ts`: something happens to a file, given by path or descriptor. */
  inotify(which: string | number, options?: InotifyOptions): Observable<InotifyEvent> {
    return inotify(this.#core, which, options);
  }

  /** See `sources/defer.ts`: the next iteration, or every one. */
  defer(options?: DeferOptions): Observable<void> {
    return defer(this.#core, options);
  }

  /** See `sources/post.ts`: after iterations in which another source ran. */
  post(options?: SourceOptions): Observable<void> {
    return post(this.#core, options);
  }

  /** See `sources/exiting.ts`: the loop exits. */
  exiting(options?: SourceOptions): Observable<void> {
    return exiting(this.#core, options);
  }

  /** See `sources/memory-pressure.ts`: memory is short. */
  memoryPressure(options?: MemoryPressureOptions): Observable<void> {
    return memoryPressure(this.#core, options);
  }

  /** Where the loop stands. sd_event_get_state(3) */
  get state(): LoopState {
    return this.#core.state;
  }

  /** How many iterations have begun; each dispatches one source. sd_event_get_iteration(3) */
  get iteration(): number {
    return this.#core.iteration;
  }

  /**
   * The time on a clock in milliseconds with fractions; within a handler the same whenever it is asked for. sd_event_now(3)
   */
  now(clock: Clock = 'monotonic'): number {
    return this.#core.currentTime(clock);
  }

  /**
   * Runs until `exit`. sd_event_loop(3).
   * @param program subscribed to while the loop runs; its values are ignored, its error ends the loop
   * @returns the exit code; rejects with the error of `program`, with ESTALE when the loop has already finished and EBUSY
   * while it runs
   */
  async run(program?: Observable<unknown>): Promise<number> {
    const finished = this.#core.run();
    // Only now: a loop that can't be run must not be disturbed by the program either.
    const subscription = program?.subscribe({ error: (error) => this.#core.abort(error) });
    try {
      return await finished;
    } finally {
      subscription?.unsubscribe();
    }
  }

  /**
   * Begins the exit: the `exiting` sources run by priority, then `run` resolves with the code, the last one that was given.
   * sd_event_exit(3)
   */
  // A function of the object, which may be passed on as it is, and for which no other thread is sent a copy of the loop.
  readonly exit = (code = 0): void => this.#core.exit(code);

  /** Frees everything at once; a loop that runs ends without its `exiting` sources. */
  [Symbol.dispose](): void {
    this.#core[Symbol.dispose]();
  }
}
