import {
  type EventLoop,
  type HandOverPlan,
  handOver,
  type Notification,
  RestartError,
  type Successor,
} from '@sdrx/event';
import { type Fd, isReadable } from '@sdrx/linux';
import { type Observable, ReplaySubject, Subject, tap } from 'rxjs';
import type { Log } from '../program/log.js';

/** How many managers may still be about to end when another one takes over. */
const MOST_FORMER = 4;

export interface ReloadOptions {
  /** What is handed on, beside what is about the former managers. */
  readonly plan: HandOverPlan;
  /** Pidfds of managers that this one has taken over from. */
  readonly former: readonly Fd[];
  /** Whether this process is the manager yet. */
  readonly isManager: () => boolean;
  /** Why this process can't hand over what it has, if so. */
  readonly obstacle: string | undefined;
  /** What the service manager is told of a daemon that serves. */
  readonly status: string;
  /** Has the workers take no more connections, as those of the new process do. */
  readonly relieve: () => void;
  /** Resolves when they take none any more. */
  readonly relieved: () => Promise<void>;
  /** Tells the service manager. */
  readonly tell: (notification: Notification) => void;
  readonly log: Log;
}

/**
 * Has the program that lies at this one's path by now take over as the manager. What fails leaves everything as it was, and is said.
 *
 * Asked by SIGHUP, that is done once more if it was asked for again meanwhile: the program may have become another one.
 */
export class Reload {
  /** Emits once, when another process is the manager. */
  readonly succeeded = new ReplaySubject<Successor>(1);
  /** Emits when a process that was to take over is gone again. */
  readonly failed = new Subject<void>();
  readonly #stop = new AbortController();
  #attempt: Promise<unknown> | undefined;
  #pid: number | undefined;
  #successor: Successor | undefined;
  #again = false;

  constructor(
    readonly loop: EventLoop,
    readonly options: ReloadOptions,
  ) {}

  /** The process that takes over, or is about to, by its id. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /** Obeys SIGHUP. */
  run(): Observable<unknown> {
    return this.loop.signal('SIGHUP', { description: 'reload' }).pipe(tap(() => this.ask()));
  }

  /** As by SIGHUP. */
  ask(): void {
    if (this.#successor !== undefined) this.#successor.reload();
    else if (this.#attempt !== undefined || !this.options.isManager()) this.#again = true;
    else this.#begin().catch(() => {});
  }

  /** Does what was asked for before this process was the manager. */
  catchUp(): void {
    if (!this.#again) return;
    this.#again = false;
    this.ask();
  }

  /** @returns the new manager's process id. Rejects with RestartError when this process stays the manager */
  async reload(): Promise<number> {
    if (this.#attempt !== undefined) throw new RestartError('in-progress');
    return await this.#begin();
  }

  /**
   * Gives up what is under way, unless it is too late. @returns the process that is the manager instead of this one, if it has become
   * that meanwhile
   */
  async stop(): Promise<Successor | undefined> {
    if (this.#successor !== undefined) return undefined;
    this.#stop.abort();
    await this.#attempt?.catch(() => {});
    return this.#successor;
  }

  #begin(): Promise<number> {
    const attempt = this.#handOver().finally(() => {
      this.#attempt = undefined;
      if (this.#successor === undefined) this.catchUp();
    });
    this.#attempt = attempt;
    return attempt;
  }

  async #handOver(): Promise<number> {
    const { log, plan, status, tell, relieve, relieved } = this.options;
    if (this.#successor !== undefined) throw new RestartError('not-current', `process ${this.#successor.pid}`);
    tell({ RELOADING: 1, MONOTONIC_USEC: this.loop.now('monotonic') * 1e3, STATUS: 'Reloading' });
    try {
      this.#refuse();
      const successor = await handOver(this.loop, {
        ...plan,
        draining: this.#running(),
        signal: this.#stop.signal,
        onPhase: (phase, pid) => {
          this.#pid = pid;
          // If it fails after that they are replaced, as any that end.
          if (phase === 'accepting') relieve();
        },
      });
      this.#successor = successor;
      log.info(`process ${successor.pid} has taken over`);
      if (this.#again) successor.reload();
      this.succeeded.next(successor);
    } catch (error) {
      this.#pid = undefined;
      const reason = error instanceof Error ? error.message : String(error);
      this.failed.next();
      log.warning(`not reloaded, this process goes on: ${reason}`);
      // There is no word for a reload that failed: without this one it would never end.
      if (!this.#stop.signal.aborted)
        tell({ READY: 1, STATUS: `${status}. Not reloaded: ${reason.replaceAll(/\s+/g, ' ')}` });
      throw error;
    }
    // Who hears that it is done is never again answered by the old program.
    await relieved();
    return this.#successor.pid;
  }

  #refuse(): void {
    if (this.#stop.signal.aborted) throw new RestartError('stopping');
    if (!this.options.isManager()) throw new RestartError('not-ready');
    if (this.options.obstacle !== undefined) throw new Error(this.options.obstacle);
    const { length } = this.#running();
    if (length > MOST_FORMER) throw new RestartError('draining', `${length} processes, at most ${MOST_FORMER}`);
  }

  /** Those of the former managers that have not ended yet. */
  #running(): Fd[] {
    return this.options.former.filter(({ number }) => !isReadable(number));
  }
}
