import type { ChildExit, EventLoop } from '@sdrx/event';
import { type ChildProcess, signalName } from '@sdrx/linux';
import { Observable, type Subscriber, Subscription } from 'rxjs';
import type { Log } from './log.js';
import { RateLimit } from './rate-limit.js';
import { startWorker, type WorkerProgram } from './worker-program.js';

const MINIMUM = 5;
const MAXIMUM = 4096;
const START_INTERVAL = 2000;
const START_BURST = 250;

/** How long workers may take to finish what they have begun, in milliseconds, before they are killed. */
const STOP_TIMEOUT = 5000;

export interface WorkerPoolOptions {
  readonly program: WorkerProgram;
  /** The listening socket; stays the caller's. */
  readonly listenFd: number;
  readonly api: boolean;
  /** Their NOTIFY_SOCKET, if that is not ours. */
  readonly notifySocket?: string | undefined;
  readonly log: Log;
}

/** Workers keep dying and no other may be started now: there is nobody left to serve, and no reason to hope. */
export class NoWorkersError extends Error {
  override readonly name = 'NoWorkersError';
}

/**
 * The worker processes: five that are always there, more when they ask for help, all under one limit of starts. When the
 * limit is reached, one timer at its end tries again.
 */
export class WorkerPool {
  readonly #workers = new Map<number, ChildProcess>();
  readonly #starts = new RateLimit(START_INTERVAL, START_BURST);
  readonly #subscription = new Subscription();
  #deferred: Subscription | undefined;
  #stopping: Subscriber<void> | undefined;
  #running: Subscriber<never> | undefined;

  constructor(
    readonly loop: EventLoop,
    readonly options: WorkerPoolOptions,
  ) {}

  /** How many live. */
  get size(): number {
    return this.#workers.size;
  }

  /** Whether a process is one of them. */
  has(pid: number): boolean {
    return this.#workers.has(pid);
  }

  /** Keeps the pool filled while subscribed; fails with NoWorkersError. To unsubscribe kills whoever is left. */
  run(): Observable<never> {
    return new Observable((subscriber) => {
      this.#running = subscriber;
      this.#fill();
      return () => {
        this.#running = undefined;
        this.#subscription.unsubscribe();
        for (const worker of this.#workers.values()) {
          worker.kill('SIGKILL');
          worker[Symbol.dispose]();
        }
        this.#workers.clear();
      };
    });
  }

  /** Starts one more, below the maximum. */
  grow(): void {
    const { log } = this.options;
    if (this.size >= MAXIMUM) log.debug(`${MAXIMUM} workers, no more are started`);
    else this.#start();
  }

  /** Lets all workers finish what they have begun, and starts no others; completes when none is left. */
  stop(): Observable<never> {
    return new Observable((subscriber) => {
      this.#stopping = subscriber;
      this.#deferred?.unsubscribe();
      for (const worker of this.#workers.values()) worker.kill('SIGTERM');
      if (this.size === 0) return subscriber.complete();
      return this.loop.time({ after: STOP_TIMEOUT, description: 'stop of workers' }).subscribe(() => {
        for (const worker of this.#workers.values()) worker.kill('SIGKILL');
      });
    });
  }

  #fill(): void {
    while (this.#running !== undefined && this.size < MINIMUM) if (!this.#start()) return;
  }

  /** @returns false if none may be started now */
  #start(): boolean {
    if (this.#running === undefined || this.#stopping !== undefined) return false;
    const { log } = this.options;
    if (!this.#starts.take(this.loop.now())) {
      this.#refused(`too many workers started within ${START_INTERVAL / 1000} s`);
      return false;
    }
    try {
      const worker = startWorker({ ...this.options, fixed: this.size < MINIMUM });
      this.#workers.set(worker.pid, worker);
      this.#subscription.add(
        this.loop.child(worker, { description: 'worker' }).subscribe((exit) => this.#exited(worker, exit)),
      );
      log.debug(`started worker ${worker.pid}, ${this.size} in all`);
      return true;
    } catch (error) {
      // No memory, no process or descriptor left: as with the limit, another try later may do.
      log.warning('could not start a worker', error);
      this.#refused('no worker can be started now');
      return false;
    }
  }

  #refused(reason: string): void {
    const { log } = this.options;
    if (this.size === 0) {
      this.#running?.error(new NoWorkersError('no worker is alive, and no more may be started now'));
      return;
    }
    if (this.#deferred !== undefined) return;
    log.warning(`${reason}, the next start is put off`);
    this.#deferred = this.loop
      .time({ at: this.#starts.end ?? 0, accuracy: 0, description: 'deferred start of workers' })
      .subscribe(() => {
        // It has come: what is refused from here on needs another one.
        this.#deferred = undefined;
        this.#fill();
      });
    this.#subscription.add(this.#deferred);
  }

  #exited(worker: ChildProcess, exit: ChildExit): void {
    this.#workers.delete(worker.pid);
    worker[Symbol.dispose]();
    if (this.#stopping === undefined) {
      logExit(this.options.log, exit);
      this.#fill();
    } else if (this.size === 0) {
      this.#stopping.complete();
    }
  }
}

function logExit(log: Log, { pid, code, status }: ChildExit): void {
  if (code === 'dumped') log.warning(`worker ${pid} died of ${signalName(status)} and dumped core`);
  else if (code === 'killed') log.warning(`worker ${pid} was killed by ${signalName(status)}`);
  else if (status !== 0) log.warning(`worker ${pid} failed with exit status ${status}`);
  else log.debug(`worker ${pid} ended`);
}
