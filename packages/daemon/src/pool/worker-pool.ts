import type { Child, ChildExit, EventLoop } from '@sdrx/event';
import { isSystemError, signalName } from '@sdrx/linux';
import {
  distinctUntilChanged,
  lastValueFrom,
  map,
  Observable,
  type Subscriber,
  Subscription,
  switchMap,
  takeUntil,
  takeWhile,
} from 'rxjs';
import type { Office } from '../manager/office.js';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import { ListeningQueue } from './listening-queue.js';
import { Orphans } from './orphans.js';
import type { PoolLedger } from './pool-ledger.js';
import { linuxSystem, type PoolSystem } from './pool-system.js';
import { PoolWorker } from './pool-worker.js';
import { RateLimit } from './rate-limit.js';
import { FailureBackoff, GrowingDelay } from './start-backoff.js';
import { StartTurns } from './start-turns.js';
import { StartPatience } from './worker-health.js';
import type { WorkerProgram } from './worker-program.js';
import { worthWhile } from './worth-while.js';

const MINIMUM = 5;
const START_INTERVAL = 2000;
const START_BURST = 250;

/** How often the workers' signs of life and the listening queue are looked at, and how late that may be, in milliseconds. */
const LOOK_INTERVAL = 1000;
const LOOK_ACCURACY = 250;

/** How often it is looked whether the first workers serve, in milliseconds. */
const BEGIN_INTERVAL = 20;

/** When it is tried again to watch a worker, in milliseconds. */
const WATCH_RETRY = 1000;

/**
 * How long workers may take to finish what they have begun, in milliseconds, before they are killed, and how long to end
 * when they are: one that doesn't hangs in the kernel.
 */
const STOP_TIMEOUT = 5000;
const KILL_TIMEOUT = 2000;

/** How often it is looked whether relieved workers take connections still, and for how long, in milliseconds. */
const RELIEF_LOOKS = 2;
const RELIEF_PATIENCE = 5000;

export interface WorkerPoolOptions {
  readonly program: WorkerProgram;
  /** The listening socket; stays the caller's. */
  readonly listenFd: number;
  readonly api: boolean;
  /** Their NOTIFY_SOCKET, if that is not ours. */
  readonly notifySocket?: string | undefined;
  /** Where our own workers give signs of life; undefined for another program, which is left alone. */
  readonly ledger: PoolLedger | undefined;
  /** How many workers there may be. */
  readonly maximum: number;
  /** Which process is the manager; by default this one. */
  readonly office?: Readonly<Office>;
  readonly log: Log;
}

/** Workers keep dying and no other may be started now: there is nobody left to serve, and no reason to hope. */
export class NoWorkersError extends Error {
  override readonly name = 'NoWorkersError';
}

/**
 * The worker processes: five that are always there, more when they ask for help, all under one limit of starts. When the
 * limit is reached, one timer at its end tries again.
 *
 * Those that give no sign of life are replaced, as are those that can take no more connections; when nobody takes what waits in
 * the listening queue, one more is started.
 */
export class WorkerPool {
  readonly #workers = new Map<number, PoolWorker>();
  readonly #starts = new RateLimit(START_INTERVAL, START_BURST);
  readonly #failures = new FailureBackoff();
  readonly #refusals = new GrowingDelay();
  readonly #patience = new StartPatience();
  readonly #orphans: Orphans;
  readonly #queue: ListeningQueue;
  readonly #turns: StartTurns;
  readonly #subscription = new Subscription();
  #deferred: Subscription | undefined;
  #backingOff = false;
  #stopping: Subscriber<void> | undefined;
  #running: Subscriber<never> | undefined;
  /** Who waits for the first workers. */
  #awaiting: Subscriber<number> | undefined;
  #lastLook = Number.NEGATIVE_INFINITY;
  /** How many connections those accepted that are gone. */
  #acceptedBefore = 0;
  /** How many were started, and ended by an error or a signal. */
  readonly counts = { started: 0, failed: 0 };

  constructor(
    readonly loop: EventLoop,
    readonly options: WorkerPoolOptions,
    readonly system: PoolSystem = linuxSystem,
  ) {
    this.#queue = new ListeningQueue(options.listenFd, system);
    this.#turns = new StartTurns(loop, options.ledger, system.processors);
    // The process that takes over from this one is a child, too, but no orphan.
    const isOurs = (pid: number) => this.has(pid) || pid === options.office?.successor;
    this.#orphans = new Orphans(loop, isOurs, () => this.#completeIfStopped(), options.log, system);
  }

  /** How many live. */
  get size(): number {
    return this.#workers.size;
  }

  /** How many connections all workers together have accepted, as far as they say. */
  get accepted(): number {
    const { ledger } = this.options;
    let sum = this.#acceptedBefore;
    for (const { slot } of this.#workers.values()) {
      if (slot !== undefined && ledger !== undefined) sum += ledger.accepted(slot);
    }
    return sum;
  }

  /** Whether a process is one of them. */
  has(pid: number): boolean {
    return this.#workers.has(pid);
  }

  /** Keeps the pool filled while subscribed; fails with NoWorkersError. To unsubscribe ends whoever is left. */
  run(): Observable<never> {
    return new Observable((subscriber) => {
      this.#running = subscriber;
      this.#fill();
      if (this.options.ledger !== undefined) {
        const looks = { every: LOOK_INTERVAL, accuracy: LOOK_ACCURACY, description: 'look at the workers' };
        this.#subscription.add(this.loop.time(looks).subscribe(() => this.#look()));
      }
      return () => {
        this.#running = undefined;
        this.#subscription.unsubscribe();
        // Beside another manager they may finish what they have begun.
        const signal = (this.options.office?.isManager ?? true) ? 'SIGKILL' : 'SIGTERM';
        for (const worker of this.#workers.values()) {
          worker.watch?.unsubscribe();
          worker.process.kill(signal);
          worker.process[Symbol.dispose]();
          this.#turns.delete(worker);
        }
        this.#workers.clear();
      };
    });
  }

  /**
   * Brings how many have begun to serve, and completes when there are as many as are always there; those of another program count when
   * they are started. Fails when one fails before. Needs `run`.
   */
  begin(): Observable<number> {
    return new Observable((subscriber) => {
      this.#awaiting = subscriber;
      subscriber.add(() => {
        this.#awaiting = undefined;
      });
      return this.loop
        .time({ after: 0, every: BEGIN_INTERVAL, description: 'begin of the workers' })
        .pipe(
          map(() => this.#begun),
          distinctUntilChanged(),
          takeWhile((begun) => begun < MINIMUM, true),
        )
        .subscribe(subscriber);
    });
  }

  /**
   * Starts one more, below the maximum, because a process asks for it. A worker of ours gets none when there are enough for
   * the connections that there are: one user alone, however many it has, is not worth more than one.
   */
  grow(pid: number): void {
    const { log, maximum, ledger } = this.options;
    if (this.size >= maximum) log.debug(`${maximum} workers, no more are started`);
    else if (ledger !== undefined && this.has(pid) && this.#serves(MINIMUM + worthWhile(ledger, log)))
      log.debug(`worker ${pid} asks for help, but there are enough workers for so many users`);
    else this.#start();
  }

  /** Leaves children that are no workers of this process alone for so many milliseconds; see `Orphans`. */
  spareStrangers(time: number): void {
    this.#orphans.spare(time);
  }

  /** Tells all workers to take no more connections, as those of another process do that, and to finish what they have begun. */
  relieve(): void {
    for (const worker of this.#workers.values()) worker.retire();
  }

  /** Resolves when none of the workers takes a connection any more, as far as they say, or has not said so for a while. */
  async relieved(): Promise<void> {
    const { ledger } = this.options;
    if (ledger === undefined) return;
    const mayAccept = () => [...this.#workers.values()].some((worker) => worker.mayAccept(ledger));
    const late = this.loop.time({ after: RELIEF_PATIENCE, description: 'relief of workers' });
    const looks = this.loop.time({ every: RELIEF_LOOKS, description: 'look at relieved workers' });
    await lastValueFrom(looks.pipe(takeWhile(mayAccept), takeUntil(late)), { defaultValue: undefined });
  }

  /**
   * Lets all workers finish what they have begun, each within its own time, and starts no others, as another process does that;
   * completes when none is left. After so many milliseconds it is as `stop`.
   */
  retire(patience: number): Observable<never> {
    return new Observable((subscriber) => {
      this.#stopping = subscriber;
      this.#deferred?.unsubscribe();
      this.relieve();
      if (this.#completeIfStopped()) return;
      const late = this.loop.time({ after: patience, description: 'retirement of workers' });
      return late.pipe(switchMap(() => this.stop())).subscribe(subscriber);
    });
  }

  /** Lets all workers finish what they have begun, and starts no others; completes when none is left. */
  stop(): Observable<never> {
    return new Observable((subscriber) => {
      this.#stopping = subscriber;
      this.#deferred?.unsubscribe();
      for (const worker of this.#workers.values()) worker.dismiss();
      if (this.#completeIfStopped()) return;
      const timeouts = new Subscription();
      const after = (time: number, description: string, act: () => void) =>
        timeouts.add(this.loop.time({ after: time, description }).subscribe(act));
      after(STOP_TIMEOUT, 'stop of workers', () => {
        for (const worker of this.#workers.values()) worker.kill();
        after(KILL_TIMEOUT, 'end of workers', () => {
          for (const pid of this.#workers.keys())
            this.options.log.warning(
              `worker ${pid} hangs in the kernel, not waited for`,
              undefined,
              about('workerSilent', { WORKER_PID: pid }),
            );
          subscriber.complete();
        });
      });
      return timeouts;
    });
  }

  /** Whether so many take connections, or will in a moment. It counts no further: there may be thousands. */
  #serves(enough: number): boolean {
    let serving = 0;
    for (const worker of this.#workers.values()) if (worker.serves && ++serving >= enough) return true;
    return false;
  }

  /** How many have begun to serve, as far as they say. */
  get #begun(): number {
    const { ledger } = this.options;
    let begun = 0;
    for (const { slot } of this.#workers.values()) {
      if (slot === undefined || ledger === undefined || ledger.condition(slot) !== 'starting') begun++;
    }
    return begun;
  }

  #fill(): void {
    if (this.#backingOff || this.#serves(MINIMUM)) return;
    const delay = this.#failures.next(this.loop.now());
    if (delay === 0) this.#startMissing();
    else this.#backOff(delay, 'workers fail again and again');
  }

  /** Puts off all starts but those that somebody asks for. */
  #backOff(delay: number, reason: string): void {
    this.#backingOff = true;
    this.#defer(this.loop.now() + delay, reason);
  }

  #startMissing(): void {
    const { maximum } = this.options;
    while (this.#running !== undefined && !this.#serves(MINIMUM) && this.size < maximum) if (!this.#start()) return;
  }

  /** @returns false if none may be started now */
  #start(): boolean {
    if (this.#running === undefined || this.#stopping !== undefined) return false;
    const { log, ledger } = this.options;
    const now = this.loop.now();
    if (!this.#starts.take(now)) {
      if (this.size === 0) this.#giveUp();
      else this.#defer(this.#starts.end ?? now, `too many workers started within ${START_INTERVAL / 1000} s`);
      return false;
    }
    const slot = this.#assignSlot();
    try {
      const waits = this.#turns.areTaken(slot);
      const { process, child, begin } = this.system.start({
        ...this.options,
        fixed: !this.#serves(MINIMUM),
        slot,
        waits,
      });
      const worker = new PoolWorker(process, slot, now);
      this.#workers.set(worker.pid, worker);
      this.#turns.add(worker, begin);
      this.#watch(worker, child);
      this.#refusals.reset();
      this.counts.started++;
      log.debug(`started worker ${worker.pid}, ${this.size} in all`);
      return true;
    } catch (error) {
      if (slot !== undefined) ledger?.release(slot);
      log.warning('could not start a worker', error, about('workerNotStarted'));
      // No memory, no process or descriptor left passes; what else there is won't while nobody is there to serve.
      if (this.size === 0 && !isShortage(error)) this.#giveUp();
      else this.#backOff(this.#refusals.next(), 'no worker can be started now');
      return false;
    }
  }

  /** Without space for a slot a worker does without: it can't be judged, and its limits are its own. */
  #assignSlot(): number | undefined {
    const { ledger, log } = this.options;
    try {
      return ledger?.assign();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      log.warning('no space in the ledger for another worker', error);
      return undefined;
    }
  }

  #watch(worker: PoolWorker, child: Child): void {
    const watch = new Subscription();
    worker.watch = watch;
    const end = this.loop.child(child, { description: 'worker' }).subscribe({
      next: (exit) => this.#exited(worker, exit),
      // No memory for a watch, say: one that can't be watched must not stay. Not the loop's timer, as the loop lacks something.
      error: (error) => {
        this.options.log.warning(`worker ${worker.pid} can't be watched, it is killed`, error);
        worker.kill();
        watch.add(this.system.later(WATCH_RETRY, () => this.#watch(worker, child)));
      },
    });
    watch.add(end);
  }

  #giveUp(): void {
    this.#running?.error(new NoWorkersError('no worker is alive, and no more may be started now'));
  }

  #defer(at: number, reason: string): void {
    if (this.#deferred !== undefined) return;
    this.options.log.warning(`${reason}, the next start is put off`, undefined, about('workerNotStarted'));
    this.#deferred = this.loop.time({ at, accuracy: 0, description: 'deferred start of workers' }).subscribe(() => {
      // It has come: what is refused from here on needs another one.
      this.#deferred = undefined;
      this.#backingOff = false;
      this.#startMissing();
    });
    this.#subscription.add(this.#deferred);
  }

  #look(): void {
    const { ledger, log } = this.options;
    const now = this.loop.now();
    // After a late look the next one may come at once: it would find nothing new.
    if (ledger === undefined || this.#stopping !== undefined || now - this.#lastLook < LOOK_INTERVAL / 2) return;
    // Who waits for the first ones knows how long.
    if (this.#awaiting !== undefined) return;
    this.#lastLook = now;
    for (const worker of this.#workers.values()) {
      if (worker.dismissed || !this.#turns.waits(worker)) worker.look(ledger, this.#patience, log);
    }
    this.#lookAtQueue();
    this.#fill();
  }

  /** Starts one more when connections wait and nobody has accepted one since the last look. */
  #lookAtQueue(): void {
    const { maximum, log } = this.options;
    if (!this.#queue.stands(this.accepted) || this.size >= maximum) return;
    // One that starts is help to come.
    if ([...this.#workers.values()].some(({ serves, started, slot }) => serves && !started && slot !== undefined))
      return;
    log.debug('connections wait, and no worker accepts them');
    this.#start();
  }

  #exited(worker: PoolWorker, exit: ChildExit): void {
    const { log, ledger } = this.options;
    this.#orphans.end();
    this.#workers.delete(worker.pid);
    this.#turns.delete(worker);
    if (isFailure(exit)) this.counts.failed++;
    if (worker.slot !== undefined && ledger !== undefined) {
      this.#acceptedBefore += ledger.accepted(worker.slot);
      ledger.release(worker.slot);
    }
    worker.process[Symbol.dispose]();
    if (this.#stopping !== undefined) {
      this.#completeIfStopped();
      return;
    }
    logExit(log, exit);
    if (isFailure(exit))
      this.#awaiting?.error(new Error(`a worker ends before it serves: ${exit.code} ${exit.status}`));
    const now = this.loop.now();
    if (!worker.dismissed && isFailure(exit)) this.#failures.failed(now - worker.startedAt, now);
    this.#fill();
  }

  #completeIfStopped(): boolean {
    if (this.#stopping === undefined || this.#orphans.left) return false;
    for (const worker of this.#workers.values()) if (!worker.lost) return false;
    this.#stopping.complete();
    return true;
  }
}

/** Whether what kept a worker from being started is something that there is not enough of at the moment. */
function isShortage(error: unknown): boolean {
  return isSystemError(error, 'EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC');
}

/** Whether a worker ended by its own fault. Who uses SIGKILL has reasons of his own. */
function isFailure({ code, status }: ChildExit): boolean {
  return code === 'exited' ? status !== 0 : signalName(status) !== 'SIGKILL';
}

function logExit(log: Log, { pid, code, status }: ChildExit): void {
  const signal = code === 'exited' ? undefined : signalName(status);
  const told = about('workerFailed', {
    WORKER_PID: pid,
    EXIT_CODE: code,
    EXIT_STATUS: signal?.replace(/^SIG/, '') ?? status,
  });
  if (code === 'dumped') log.warning(`worker ${pid} died of ${signal} and dumped core`, undefined, told);
  else if (code === 'killed') log.warning(`worker ${pid} was killed by ${signal}`, undefined, told);
  else if (status !== 0) log.warning(`worker ${pid} failed with exit status ${status}`, undefined, told);
  else log.debug(`worker ${pid} ended`);
}
