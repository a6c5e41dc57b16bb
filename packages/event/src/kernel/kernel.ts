import type { ChildProcess as NodeChildProcess } from 'node:child_process';
import type { ChildChange, ChildProcess, Clock, Fd, InotifyRecord, SignalInfo } from '@sdrx/linux';
import type { Attachment } from '../core/attachment.js';
import type { SourceHandle } from '../core/source-handle.js';

/**
 * All that a loop has from outside: what is ready, what time it is, signals, children, files, memory pressure, and turns of Node's.
 * `LinuxKernel` asks Linux and Node. A test has one that it drives itself.
 *
 * Nothing that a kernel calls back while it is asked runs a user's code: it makes sources pending, no more.
 */
export interface Kernel extends Disposable {
  /** Whether this is another process than the one it was made in: a child by fork(2), whose descriptors are its parent's. */
  readonly forked: boolean;
  /** What a clock shows, in milliseconds. */
  now(clock: Clock): number;
  /** What shows how long something takes, in milliseconds since whenever. */
  stopwatch(): number;
  /** Calls in a turn of its own, soon. */
  nextTurn(call: () => void): void;
  /** The loop begins to run: from now on `wake` is called when something may be ready, and the process stays. */
  begin(wake: () => void): void;
  /** Looks what is ready, without waiting, and calls back for each. */
  ask(): void;
  /** @throws EPERM for an alarm clock without CAP_WAKE_ALARM */
  alarm(clock: Clock, rings: () => void): Alarm;
  /**
   * Calls `ready` with an EPOLL* mask each time it is asked and `fd` has one of `events`. The fd stays the caller's, who disposes
   * of the watch before closing it, or right after.
   * @throws EPERM for an fd that can't be polled, EBADF
   */
  watch(fd: number, events: number, ready: (revents: number) => void): Watch;
  /** Takes over a descriptor, for a source that owns it. @returns what closes it */
  takeFd(fd: number): Disposable;
  /**
   * @returns a function that ends the listening
   * @throws EINVAL for SIGKILL and SIGSTOP, EOPNOTSUPP in a worker thread
   */
  signal(signo: number, listener: SignalListener): () => void;
  /** @throws ESRCH, ECHILD, EBADF, EMFILE, EOPNOTSUPP */
  child(which: Child, wanted: WantedChanges, source: SourceHandle<ChildChange>): Attachment<ChildChange>;
  /**
   * Calls `listener` with what happens to a file, and with what others asked for of the same one.
   * @param mask IN_* events and flags; with IN_MASK_CREATE there must be no other listener of the inode
   * @returns a function that ends the listening
   * @throws what inotify_add_watch(2) fails with
   */
  inotify(path: string | Uint8Array, mask: number, listener: (record: InotifyRecord) => void): () => void;
  /** @throws EHOSTDOWN, EOPNOTSUPP, EnvironmentError, EBUSY, and what opening and writing the file fails with */
  memoryPressure(wanted: WantedPressure, source: SourceHandle<void>): Attachment<void>;
}

/** A clock that rings once, at the time that it was set to last. */
export interface Alarm extends Disposable {
  /** Sets it, in milliseconds on its clock; to Infinity: it does not ring. */
  set(at: number): void;
}

/** One fd that is watched. Its disposal ends that; once is enough. */
export interface Watch extends Disposable {
  /** Waits for these events from now on, an EPOLL* mask; wakes an EPOLLONESHOT again. */
  change(events: number): void;
  /** Waits for nothing, not even errors, until told otherwise. */
  pause(on: boolean): void;
}

/** A signal that is pending. */
export interface PendingSignal {
  /** Its number. */
  readonly signo: number;
  /** Takes up to `limit` that are pending, by default many, for all who listen to it. */
  deliver(limit?: number): void;
}

/** Who listens to a signal. */
export interface SignalListener {
  /** Called while the kernel is asked and there is one to `deliver`. The first listener of a loop is called for all. */
  ready(signal: PendingSignal): void;
  /** Called with each. */
  received(info: SignalInfo): void;
}

/**
 * A child by its process, that of `spawn` or of node:child_process, or a pidfd, which stay the caller's unless the source is to
 * `own` it, or by its id.
 */
export type Child = ChildProcess | NodeChildProcess | Fd | number;

/** Which of a child's changes beside its end are told, and whether the child ends with the subscription. */
export interface WantedChanges {
  /** That a signal stops it. */
  readonly stopped?: boolean;
  /** That a signal lets it go on. */
  readonly continued?: boolean;
  /** The child is killed and reaped at the end, if it runs still. */
  readonly own?: boolean;
}

/** What pressure is told of; what is undefined is whatever is usual. */
export interface WantedPressure {
  /** That some tasks wait for memory, or all. */
  readonly type?: 'some' | 'full' | undefined;
  /** How long they must have waited within the window, in milliseconds. */
  readonly threshold?: number | undefined;
  /** The window, in milliseconds. */
  readonly window?: number | undefined;
}
