import { Log, NoWorkersError, type PoolSystem, type WorkerOptions, WorkerPool } from '@sdrx/daemon';
import type { VirtualChild } from '@sdrx/event/testing';
import { EMFILE, SystemError, signalNumber } from '@sdrx/linux';
import type { Subscription } from 'rxjs';
import { PoolRules } from './pool-rules.js';
import { RefusingLoop } from './refusing-loop.js';
import { SimulatedLedger } from './simulated-ledger.js';
import { type End, type Fate, SimulatedWorker, type WorkerSurroundings } from './simulated-worker.js';

/** How a world is. */
export interface WorldOptions {
  /** How many workers there may be. */
  readonly maximum: number;
  /** Whether the workers are those of others, which say nothing of themselves. */
  readonly foreign: boolean;
  /** What becomes of the first ones, in turn; by default they stay. */
  readonly fates?: readonly Fate[];
}

/** The usual worker, which stays until it is told to end. */
export const STEADY: Fate = {
  after: undefined,
  end: { code: 'exited', status: 0 },
  obeys: 'all',
  begins: true,
  orphans: 0,
};

/** How long the rules are not looked at, in milliseconds. */
const STEP = 250;

/** When it is tried again to watch or to list children, in milliseconds. */
const RETRY = 1000;

/** How long the pool may take to stop, in milliseconds. */
const STOP = 7010;

/** The end of those that hang in the kernel. */
const KILLED: End = { code: 'killed', status: signalNumber('SIGKILL') };

/** What a worker leaves behind: it ends when it is killed, if at all. */
interface Orphan {
  readonly virtual: VirtualChild;
  readonly obeys: boolean;
}

/** Who asks for one more and is no worker. */
const OUTSIDER = 1;

/**
 * The daemon's pool in a world in which nothing is real but its code: no processes, no time, no memory that is shared. After each
 * step of time, and after each event, the rules are checked.
 */
export class PoolWorld implements PoolSystem {
  readonly processors = 2;
  readonly loop = new RefusingLoop();
  readonly rules: PoolRules;
  readonly ledger: SimulatedLedger | undefined;
  readonly pool: WorkerPool;
  /** What becomes of those that are started from now on, in turn. */
  fates: readonly Fate[];
  /** What the next starts fail with. */
  readonly refusedStarts: SystemError[] = [];
  /** How often the children can't be listed. */
  refusedLists = 0;
  /** Why the pool has given up, if it has. */
  givenUp: unknown;
  readonly #workers = new Map<number, SimulatedWorker>();
  readonly #orphans = new Map<number, Orphan>();
  readonly #surroundings: WorkerSurroundings;
  readonly #finished: Promise<number>;
  readonly #running: Subscription;
  #drawn = 0;
  #listRefusedAt = Number.NEGATIVE_INFINITY;

  constructor({ maximum, foreign, fates = [STEADY] }: WorldOptions) {
    const { loop } = this;
    this.fates = fates;
    const now = () => loop.now();
    this.#surroundings = {
      now,
      loop,
      ended: (worker) => this.#leaveOrphans(worker.fate),
      began: () => this.rules.hadTurn(),
      told: (worker, end) => this.rules.wasTold(worker, end),
    };
    this.rules = new PoolRules({ maximum, processors: this.processors, foreign, now });
    this.ledger = foreign ? undefined : new SimulatedLedger(now);
    const log = new ObservedLog((level, message) => this.#logged(level, message));
    const options = { program: ['worker'] as const, listenFd: -1, api: true, ledger: this.ledger, maximum, log };
    this.pool = new WorkerPool(loop, options, this);
    this.#finished = loop.run();
    // As the manager does it, but that one signal stands for many, which would come one after the other.
    this.#running = loop.signal('SIGUSR2').subscribe(({ pid, value }) => {
      for (let time = 0; time < value; time++) this.pool.grow(pid);
    });
    this.#running.add(this.pool.run().subscribe({ error: (error) => this.#gaveUp(error) }));
  }

  /** Those of whose end the pool has not heard, in the order of their starts. */
  get workers(): SimulatedWorker[] {
    return [...this.rules.living];
  }

  /** How many timers there are for deferred starts. */
  get deferredStarts(): number {
    return this.#sources().filter((description) => description === 'deferred start of workers').length;
  }

  /** Lets all that is to happen now happen, and checks the rules. */
  async settle(): Promise<void> {
    await this.loop.settle();
    this.#checkOrphans();
    this.#checkSlots();
    this.rules.check({ size: this.pool.size, deferred: this.deferredStarts });
  }

  /** Lets time pass, with a look at the rules again and again, and at the end of each window of starts. */
  async pass(milliseconds: number): Promise<void> {
    const { loop } = this;
    for (const end = loop.now() + milliseconds; loop.now() < end && this.givenUp === undefined; ) {
      const { windowEnd } = this.rules;
      const next = Math.min(end, loop.now() + STEP, windowEnd > loop.now() ? windowEnd : end);
      await loop.advance(next - loop.now());
      await this.settle();
    }
  }

  /** Processes ask for one more, one after the other: a worker, or somebody else. */
  async grow(times: number, worker: SimulatedWorker | undefined): Promise<void> {
    this.rules.requests = times;
    this.loop.send('SIGUSR2', { pid: worker?.pid ?? OUTSIDER, value: times });
    await this.settle();
  }

  /** Ends the pool in order, unless it has given up, and checks that nothing is left. Throws Error, LeftOverError. */
  async stop(): Promise<void> {
    const { loop } = this;
    loop.refusals = 0;
    this.refusedLists = 0;
    if (this.givenUp === undefined) await this.#stopInOrder();
    this.#running.unsubscribe();
    if (this.#sources().includes('worker')) throw new Error('the end of a worker is waited for');
    await this.#endWhoHangs();
    if (this.#sources().length > 0) throw new Error(`left: ${this.#sources().join(', ')}`);
    loop.exit();
    await loop.finish();
    await this.#finished;
    loop[Symbol.dispose]();
  }

  start({ fixed, slot, waits }: WorkerOptions): SimulatedWorker {
    this.rules.attempted(fixed);
    const refusal = this.refusedStarts.shift();
    if (refusal !== undefined) {
      this.rules.wasRefused(refusal);
      throw refusal;
    }
    const fate = this.fates[this.#drawn++ % this.fates.length] ?? STEADY;
    const virtual = this.loop.startChild();
    const worker = new SimulatedWorker(virtual, fate, { slot, waits }, this.#surroundings);
    this.#workers.set(worker.pid, worker);
    if (slot !== undefined) {
      if (this.ledger?.workers.has(slot)) this.rules.violated(`slot ${slot} is given to two`);
      this.ledger?.workers.set(slot, worker);
    }
    this.rules.wasStarted(worker);
    if (fate.after !== undefined) this.#endAfter(worker, fate.after);
    return worker;
  }

  isSeenWaiting(): boolean {
    return this.rules.waitingSince !== undefined;
  }

  becomeSubreaper(): void {}

  children(): number[] {
    if (this.refusedLists > 0) {
      this.refusedLists--;
      this.#listRefusedAt = this.loop.now();
      throw new SystemError(EMFILE, 'open', '/proc/self/task');
    }
    return [...this.#livingIds(this.#workers), ...this.#livingIds(this.#orphans)];
  }

  kill(pid: number): void {
    const orphan = this.#orphans.get(pid);
    if (orphan === undefined) this.rules.violated(`process ${pid} is no orphan, and was killed`);
    else if (orphan.obeys && !orphan.virtual.ended) orphan.virtual.die(signalNumber('SIGKILL'));
  }

  later(milliseconds: number, call: () => void): () => void {
    const timer = this.loop.time({ after: milliseconds, accuracy: 0, description: 'later' }).subscribe(call);
    return () => timer.unsubscribe();
  }

  #endAfter(worker: SimulatedWorker, milliseconds: number): void {
    const { end } = worker.fate;
    if (milliseconds === 0) worker.finish(end);
    else {
      const time = this.loop.time({ after: milliseconds, accuracy: 0, description: 'fate' });
      worker.clock = time.subscribe(() => worker.finish(end));
    }
  }

  #leaveOrphans({ orphans, obeys }: Fate): void {
    for (let each = 0; each < orphans; each++) {
      const virtual = this.loop.startChild();
      this.#orphans.set(virtual.pid, { virtual, obeys: obeys !== 'none' });
    }
  }

  /** The ids of those that were not reaped. The others are forgotten. */
  *#livingIds(processes: Map<number, { readonly virtual: VirtualChild }>): Iterable<number> {
    for (const [pid, { virtual }] of processes) {
      if (virtual.reaped) processes.delete(pid);
      else yield pid;
    }
  }

  /** Nothing that obeys is left of a worker that has ended, unless that could not be seen to within the last second. */
  #checkOrphans(): void {
    const { loop, rules } = this;
    if (loop.now() - Math.max(loop.refusedAt, this.#listRefusedAt) <= RETRY) return;
    for (const [pid, { virtual, obeys }] of this.#orphans)
      if (obeys && !virtual.reaped) rules.violated(`process ${pid} has outlived its worker`);
  }

  #sources(): (string | undefined)[] {
    return this.loop.sources().map(({ description }) => description);
  }

  /** Each slot is a living worker's. */
  #checkSlots(): void {
    let taken = 0;
    for (const { slot } of this.rules.living) if (slot !== undefined) taken++;
    if (this.ledger !== undefined && this.ledger.size !== taken)
      this.rules.violated(`${this.ledger.size} slots are taken, by ${taken} workers`);
  }

  async #stopInOrder(): Promise<void> {
    const { rules } = this;
    rules.isStopping = true;
    let isStopped = false;
    this.#running.add(this.pool.stop().subscribe({ complete: () => (isStopped = true) }));
    await this.settle();
    if (!isStopped && this.children().length === 0) throw new Error('all have ended, and the stop is not over');
    await this.pass(STOP);
    if (!isStopped) throw new Error(`the stop is not over after ${STOP} ms`);
    for (const { pid, fate, end } of rules.living)
      if (end === undefined && fate.obeys !== 'none') throw new Error(`worker ${pid} was not ended`);
  }

  /** The kernel lets go of those that hang in it, and init reaps them. */
  async #endWhoHangs(): Promise<void> {
    const { loop } = this;
    for (const worker of this.#workers.values()) {
      worker.finish(KILLED);
      if (!worker.virtual.reaped) loop.child(worker.pid).subscribe();
    }
    await loop.settle();
    // What could not be watched is tried again.
    await loop.advance(RETRY);
    for (const { virtual } of this.#orphans.values()) {
      if (!virtual.ended) virtual.die(KILLED.status);
      if (!virtual.reaped) loop.child(virtual.pid).subscribe();
    }
    await loop.settle();
  }

  #gaveUp(error: unknown): void {
    this.givenUp = error;
    if (!(error instanceof NoWorkersError)) this.rules.violated(`given up for ${error}`);
    this.rules.gaveUp();
  }

  #logged(level: 'warning' | 'debug', message: string): void {
    if (message.startsWith('too many workers started')) this.rules.wasWarnedOfLimit();
    const worker = this.#workers.get(Number(/worker (\d+)/.exec(message)?.[1]));
    if (worker?.isTold) worker.obituary.push([level, message]);
  }
}

/** A log that only one listens to. */
class ObservedLog extends Log {
  constructor(readonly logged: (level: 'warning' | 'debug', message: string) => void) {
    super('simulation');
  }

  override warning(message: string): void {
    this.logged('warning', message);
  }

  override debug(message: string): void {
    this.logged('debug', message);
  }
}
