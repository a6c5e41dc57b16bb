import { type InspectOptions, inspect } from 'node:util';
import {
  type ChildChange,
  type Clock,
  checkFunction,
  checkMethods,
  checkNumber,
  checkObject,
  checkText,
  type Fd,
  type Signal,
  type SignalInfo,
} from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Attachment } from './core/attachment.js';
import { checkObservable } from './core/check-options.js';
import type { SourceState } from './core/dispatchable.js';
import { GuardedAttachment } from './core/guarded-attachment.js';
import { GuardedKernel } from './core/guarded-kernel.js';
import { LoopCore } from './core/loop-core.js';
import type { LoopState } from './core/scheduler.js';
import type { SourceOptions } from './core/source.js';
import type { SourceHandle } from './core/source-handle.js';
import { sourceOf } from './core/source-observable.js';
import type { Child, Kernel } from './kernel/kernel.js';
import { LinuxKernel } from './kernel/linux-kernel.js';
import { type ChildExit, type ChildExitOptions, type ChildOptions, child } from './sources/child.js';
import { type DeferOptions, defer } from './sources/defer.js';
import { exiting } from './sources/exiting.js';
import { type InotifyEvent, type InotifyOptions, type InotifyTarget, inotify } from './sources/inotify.js';
import { type IoEvent, type IoOptions, io } from './sources/io.js';
import { type MemoryPressureOptions, memoryPressure } from './sources/memory-pressure.js';
import { post } from './sources/post.js';
import { signal } from './sources/signal.js';
import { type TimeEvent, type TimeOptions, time } from './sources/time.js';

/** What a loop can be given. */
export interface EventLoopOptions {
  /** Where all comes from that the loop waits for; it is disposed of with the loop. By default Linux and Node. */
  readonly kernel?: Kernel;
  /**
   * How long a handler may take before it is warned of, in milliseconds; by default none is. The warning of Node's, a
   * `SlowHandlerWarning`, names the source, and its detail tells where it was subscribed to. Costs a look at the clock a dispatch,
   * and a stack a subscription.
   */
  readonly slow?: number;
}

/** What is behind a loop, for this package's own functions of one. */
export let coreOf: (loop: EventLoop) => LoopCore;

/**
 * An event loop like sd-event's: sources with priorities, one epoll instance, a defined order. It runs inside Node's
 * own loop and keeps Node alive from `run` until it exits, no longer.
 *
 * A source is a cold Observable: to subscribe adds it, to unsubscribe removes it and frees what it holds. Sources may
 * be subscribed to before `run`; nothing is delivered until then. When the loop has exited they complete.
 *
 * @example
 * const loop = new EventLoop();
 * const ticks = loop.time({ every: 1000 }).pipe(tap(() => console.log('tick')));
 * process.exitCode = await loop.run(merge(exitOnSignal(loop), ticks));
 */
export class EventLoop implements Disposable {
  readonly #core: LoopCore;

  static {
    coreOf = (loop) => loop.#core;
  }

  /** @throws TypeError and RangeError for options that are none */
  constructor(options: EventLoopOptions = {}) {
    checkObject('options', options);
    const { kernel, slow } = options;
    if (kernel !== undefined) checkMethods('kernel', kernel, 'a Kernel', 'now', 'watch', 'ask');
    if (slow !== undefined) checkNumber('slow', slow, 0, Number.MAX_VALUE, 'a number of milliseconds');
    this.#core = new LoopCore(kernel ?? new LinuxKernel(), slow);
  }

  /**
   * Becomes ready when `fd` has one of `events`; level-triggered unless `events` has EPOLLET. Without `own` the fd
   * stays the caller's, and the subscription ends before it is closed, or right after. sd_event_add_io(3),
   * epoll_ctl(2).
   *
   * A file that tells each event once, to whoever asks first, as /proc/self/mountinfo and the kernel's pressure files do by
   * EPOLLPRI, can have one subscription for each time it was opened; of more, any one is told. EPOLLERR may not be told with it.
   *
   * Fails with EPERM for a regular file, EBADF.
   */
  io(fd: number | Fd, options?: IoOptions): Observable<IoEvent> {
    if (options !== undefined) checkObject('options', options);
    return io(this.#core, fd, options);
  }

  /**
   * Comes once, at a time on a clock, and completes; or again and again with `every`, which keeps to its grid: times that have
   * passed when the observer is done are left out, and its next one is the first that lies ahead. sd_event_add_time(3).
   *
   * Fails with EPERM for an alarm clock without CAP_WAKE_ALARM.
   * @throws RangeError for times that are no numbers or negative, for both `after` and `at` or none of the three
   */
  time(options: TimeOptions): Observable<TimeEvent> {
    checkObject('options', options);
    return time(this.#core, options);
  }

  /**
   * Comes for every such signal that the process receives, with what siginfo_t tells, instead of the signal's action. Real-time
   * signals (`SIGRTMIN+n`) are queued and never lost below RLIMIT_SIGPENDING; of a standard signal one is pending at a time, as
   * everywhere. When the last subscription ends, the signal has its former action again. Listeners of process.on() hear nothing
   * meanwhile, except those of SIGCHLD, which Node needs for its own children. sd_event_add_signal(3), signal(7).
   *
   * Several loops of the main thread may listen to one signal; each of them gets it.
   *
   * Fails with EINVAL for SIGKILL and SIGSTOP, EOPNOTSUPP in a worker thread.
   * @throws RangeError for an unknown signal
   */
  signal(which: Signal, options?: SourceOptions): Observable<SignalInfo> {
    if (options !== undefined) checkObject('options', options);
    return signal(this.#core, which, options);
  }

  /**
   * Comes once, when a child process ends, and completes; with `stopped` or `continued` also each time it does that.
   * The child is reaped after the observer ran, which therefore still finds it under /proc. Its end is told by a pidfd,
   * so that SIGCHLD stays free for others; only stopping and continuing need that signal, and share it with Node.
   * A child of node:child_process, also one that is given by its id or a pidfd, is reaped by Node, which tells its own
   * listeners, too; it may be gone when the observer is called.
   * sd_event_add_child(3), sd_event_add_child_pidfd(3), pidfd_open(2).
   *
   * Fails with ESRCH for a process that does not exist, ECHILD for one that is no child of ours or was reaped
   * elsewhere, EBADF for a ChildProcess or Fd that was closed; with `stopped` or `continued` EOPNOTSUPP in a worker
   * thread.
   */
  child(which: Child, options?: ChildExitOptions): Observable<ChildExit>;
  child(which: Child, options?: ChildOptions): Observable<ChildChange>;
  child(which: Child, options?: ChildOptions): Observable<ChildChange> {
    if (options !== undefined) checkObject('options', options);
    return child(this.#core, which, options);
  }

  /**
   * Comes when something happens to a file or in a directory, given by its path or by a descriptor of it. After IN_Q_OVERFLOW
   * events are missing: look for yourself. After IN_IGNORED, when the file is gone for good, it completes.
   * sd_event_add_inotify(3), inotify(7).
   *
   * Fails with ENOENT, EACCES, ENOTDIR (IN_ONLYDIR), EEXIST (IN_MASK_CREATE), EBADF for a descriptor that is not open, EINVAL for
   * a path with a NUL in it, ENOSPC (fs.inotify.max_user_watches), EMFILE (fs.inotify.max_user_instances).
   * @throws RangeError for a mask without an event, and for IN_MASK_ADD
   */
  inotify(which: InotifyTarget, options?: InotifyOptions): Observable<InotifyEvent> {
    if (options !== undefined) checkObject('options', options);
    return inotify(this.#core, which, options);
  }

  /** Comes once, as soon as it is its turn, and completes; or on every iteration. sd_event_add_defer(3). */
  defer(options?: DeferOptions): Observable<void> {
    if (options !== undefined) checkObject('options', options);
    return defer(this.#core, options);
  }

  /** Comes after every iteration in which a source of another kind ran. sd_event_add_post(3). */
  post(options?: SourceOptions): Observable<void> {
    if (options !== undefined) checkObject('options', options);
    return post(this.#core, options);
  }

  /** Comes once, when the loop exits, before `run` resolves, and completes; by priority. sd_event_add_exit(3). */
  exiting(options?: SourceOptions): Observable<void> {
    if (options !== undefined) checkObject('options', options);
    return exiting(this.#core, options);
  }

  /**
   * Comes whenever memory is short: what the service manager set up with MEMORY_PRESSURE_WATCH and MEMORY_PRESSURE_WRITE, else
   * the pressure of the process's own cgroup, else that of the whole system. sd_event_add_memory_pressure(3),
   * systemd.io/MEMORY_PRESSURE, Documentation/accounting/psi.rst.
   *
   * Fails with EHOSTDOWN when MEMORY_PRESSURE_WATCH=/dev/null turns it off, EOPNOTSUPP when neither the cgroup nor the system has
   * pressure information, EnvironmentError when the variables are malformed, EBUSY when they are set and options ask for
   * something else, what opening and writing the file fails with (ENOENT, EACCES, ECONNREFUSED, EINVAL for a trigger that the
   * kernel refuses), and EIO when the file is gone later, with its cgroup. Completes when the other end of a socket is gone.
   * @throws RangeError for a window or threshold out of range
   */
  memoryPressure(options?: MemoryPressureOptions): Observable<void> {
    if (options !== undefined) checkObject('options', options);
    return memoryPressure(this.#core, options);
  }

  /**
   * A source of your own kind: with priority, rate limit and all that sources have, and in tests on a `VirtualLoop`, too.
   * sd_event_add_io(3) and its like are no more than this.
   * @param kind what it is called where sources are listed
   * @param attach runs at subscription, and has the source become pending when there is something, by what the kernel tells: a
   * descriptor that is ready, an alarm, a signal. What it throws, or what it has called back, is the subscription's error. What
   * it takes by `source.use` is freed when the subscription ends; what it returns is told of that, and of each dispatch
   * @throws TypeError and RangeError for options that no source can have
   * @example
   * // Whatever comes by a datagram socket, as text.
   * const datagrams = (loop: EventLoop, socket: Fd) =>
   *   loop.source<string>('datagram', (source, kernel) => {
   *     const buffer = Buffer.alloc(65_536);
   *     const ready = () => {
   *       const size = read(socket.number, buffer);
   *       if (size !== undefined) source.pendAlso(buffer.toString('utf8', 0, size));
   *     };
   *     source.use(kernel.watch(socket.number, EPOLLIN, ready));
   *     return {};
   *   });
   */
  source<T>(
    kind: string,
    attach: (source: SourceHandle<T>, kernel: Kernel) => Attachment<T>,
    options: SourceOptions = {},
  ): Observable<T> {
    checkText('kind', kind);
    checkFunction('attach', attach);
    checkObject('options', options);
    const { kernel } = this.#core;
    return sourceOf<T>(this.#core, { name: kind, origin: 'kernel' }, options, (source) => {
      const fail = (error: unknown): void => source.pendError(error);
      return new GuardedAttachment(attach(source, new GuardedKernel(kernel, fail)), fail);
    });
  }

  /** What there is to see of each source, in the order in which they were subscribed to. */
  sources(): SourceState[] {
    return this.#core.describe();
  }

  /** For util.inspect(): where it stands, and its sources. */
  [inspect.custom](_depth: number, options: InspectOptions): string {
    const { state, iteration } = this;
    return `${this.constructor.name} ${inspect({ state, iteration, sources: this.sources() }, options)}`;
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
   * The time on a clock in milliseconds with fractions; within a handler the same whenever it is asked for.
   * sd_event_now(3)
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
    if (program !== undefined) checkObservable('program', program);
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
   * Begins the exit: the `exiting` sources run by priority, then `run` resolves with the code, the last one that was
   * given. sd_event_exit(3)
   */
  // A function of the object: it may be handed on as it is, and a loop that holds one can't be cloned for another thread.
  readonly exit = (code = 0): void => this.#core.exit(code);

  /** Frees everything at once; a loop that runs ends without its `exiting` sources. */
  [Symbol.dispose](): void {
    this.#core[Symbol.dispose]();
  }
}
