import { isSystemError, signalName } from '@sdrx/linux';
import type { End, SimulatedWorker } from './simulated-worker.js';

const MINIMUM = 5;
const WINDOW = 2000;
const BURST = 250;

/** The longest that the next try may be put off after a start that the system refused, or because workers fail again and again. */
const LONGEST_DELAY = 5000;

/** Workers that live shorter fail soon; so many of them in so long a time, without a pause of that length, fail again and again. */
const SOON = 10_000;
const MANY = 50;
const LONG = 10_000;
const PAUSE = 30_000;

/** Within this time a look finds out how a worker is. */
const LOOK = 2500;

/** For so long one that begins keeps others waiting, and within so long that is noticed. */
const TURN = 1000;
const TURN_LOOK = 20;

/** Within this time it is noticed that a worker gives no sign of life, or has never begun, or does not end. */
const SILENCE = 10_000;
const BIRTH = 410_000;
const OBSTINACY = 15_000;

/** What the rules are about. */
export interface RulesOptions {
  readonly maximum: number;
  readonly processors: number;
  /** Whether the workers are those of others, which say nothing of themselves. */
  readonly foreign: boolean;
  readonly now: () => number;
}

/** What can be seen of the pool from outside. */
export interface Seen {
  readonly size: number;
  /** How many timers there are for deferred starts. */
  readonly deferred: number;
}

/** The rules of the daemon's contract for its workers, and what must be known to tell whether they are kept. */
export class PoolRules {
  /** Those that were started and of whose end the pool has not heard. */
  readonly living = new Set<SimulatedWorker>();
  /** Whether the pool was told to stop, or has given up. */
  isStopping = false;
  started = 0;
  /** How many processes ask for one more at the moment. */
  requests = 0;
  /** Since when connections wait. */
  waitingSince: number | undefined;
  readonly #options: RulesOptions;
  readonly #violations: string[] = [];
  readonly #told: SimulatedWorker[] = [];
  #windowEnd = 0;
  #taken = 0;
  #warnedWindow = 0;
  #lastAttempt = 0;
  #lastTurn = 0;
  #lastEnd = 0;
  #lastRefusal = Number.NEGATIVE_INFINITY;
  #helpedAt = Number.NEGATIVE_INFINITY;
  #tooFewSince: number | undefined;
  #failures = 0;
  #firstFailure = 0;
  #lastFailure = Number.NEGATIVE_INFINITY;
  /** Whether the last refusal was for something that does not pass. */
  #isHopeless = false;
  /** Whether there was such a refusal with nobody alive. */
  #isLost = false;

  constructor(options: RulesOptions) {
    this.#options = options;
  }

  /** When the window of starts ends; in the past if there is none. */
  get windowEnd(): number {
    return this.#windowEnd;
  }

  /** Something that must not be. Told by the next check, since the pool may catch what is thrown. */
  violated(rule: string): void {
    this.#violations.push(rule);
  }

  /** The pool starts a worker, or tries to. */
  attempted(fixed: boolean): void {
    const now = this.#options.now();
    if (this.isStopping) this.violated('a start after the stop');
    if (now >= this.#windowEnd) {
      this.#windowEnd = now + WINDOW;
      this.#taken = 0;
    }
    if (++this.#taken > BURST) this.violated(`${this.#taken} starts within ${WINDOW} ms`);
    if (this.living.size >= this.#options.maximum) this.violated(`more than ${this.#options.maximum} workers`);
    this.#lastAttempt = now;
    const serving = this.#count((worker) => this.#surelyServes(worker));
    if (this.#options.foreign && fixed !== serving < MINIMUM) this.violated(`fixed: ${fixed}, beside ${serving}`);
    if (serving >= MINIMUM) this.#justify(now);
  }

  wasStarted(worker: SimulatedWorker): void {
    this.started++;
    this.living.add(worker);
    if (!worker.isWaiting) this.hadTurn();
  }

  /** A worker begins. */
  hadTurn(): void {
    this.#lastTurn = this.#options.now();
  }

  /** The system has refused a start. */
  wasRefused(error: unknown): void {
    this.#lastRefusal = this.#options.now();
    this.#isHopeless = !isSystemError(error, 'EAGAIN', 'ENOMEM', 'EMFILE', 'ENFILE', 'ENOSPC');
    this.#isLost ||= this.#isHopeless && this.living.size === 0;
  }

  /** The pool has heard of the end of a worker. */
  wasTold(worker: SimulatedWorker, end: End): void {
    this.living.delete(worker);
    if (this.isStopping) return;
    this.#told.push(worker);
    const now = this.#options.now();
    this.#lastEnd = now;
    const isFailure = end.code === 'exited' ? end.status !== 0 : signalName(end.status) !== 'SIGKILL';
    if (!isFailure || worker.signals.length > 0 || now - worker.startedAt >= SOON) return;
    if (now - this.#lastFailure > PAUSE) {
      this.#failures = 0;
      this.#firstFailure = now;
    }
    this.#failures++;
    this.#lastFailure = now;
  }

  /** The log says that a start is put off for the limit of starts. */
  wasWarnedOfLimit(): void {
    if (!this.#isFull) this.violated('put off for the limit of starts, which is not reached');
    if (this.#warnedWindow === this.#windowEnd)
      this.violated('a second start is put off to the end of the same window');
    this.#warnedWindow = this.#windowEnd;
  }

  /** The pool gives up. */
  gaveUp(): void {
    const isRefused = this.#isHopeless && this.#lastRefusal === this.#options.now();
    if (this.living.size > 0) this.violated(`given up while ${this.living.size} live`);
    if (!this.#isFull && !isRefused) this.violated('given up while starts are allowed');
    this.isStopping = true;
  }

  /** Throws Error with each rule that is not kept by a pool that has come to rest. */
  check(seen: Seen): void {
    const { maximum } = this.#options;
    if (seen.size !== this.living.size) this.violated(`${this.living.size} live, not ${seen.size}`);
    if (seen.size > maximum) this.violated(`${seen.size} of ${maximum} workers`);
    if (seen.deferred > 1) this.violated(`${seen.deferred} deferred starts`);
    if (!this.isStopping) {
      this.#checkNumber(seen);
      this.#checkTurns();
      for (const worker of this.living) this.#checkWorker(worker);
    }
    for (const worker of this.#told.splice(0)) this.#checkObituary(worker);
    this.requests = 0;
    if (this.#violations.length > 0) throw new Error(this.#violations.splice(0).join('; '));
  }

  /** At least five, unless starts are refused or limited. */
  #checkNumber({ deferred }: Seen): void {
    const now = this.#options.now();
    const counted = this.#count((worker) => this.#mayServe(worker));
    if (counted >= MINIMUM || this.living.size >= this.#options.maximum) {
      this.#tooFewSince = undefined;
      return;
    }
    this.#tooFewSince ??= now;
    if (this.#isLost) this.violated('nobody lives, no start can succeed, and it is not given up');
    const isPutOff = now - this.#lastRefusal < LONGEST_DELAY || this.#failAgainAndAgain(now);
    // With nobody left the limit is no excuse: that is the end.
    const isLimited = this.#isFull && this.living.size > 0;
    if (!isLimited && !isPutOff) this.violated(`${counted} workers, and no start is refused or limited`);
    else if (deferred !== 1) this.violated(`${counted} workers, and no deferred start`);
  }

  /** No more begin at a time than there are processors, and nobody waits for nothing. */
  #checkTurns(): void {
    const now = this.#options.now();
    let beginning = 0;
    for (const { pid, isWaiting, slot, condition, end, signals, startedAt } of this.living) {
      if (end !== undefined || signals.length > 0 || slot === undefined) continue;
      if (!isWaiting && condition === 'starting' && now - startedAt < TURN) beginning++;
      if (isWaiting && now - Math.max(startedAt, this.#lastTurn) > TURN + TURN_LOOK)
        this.violated(`worker ${pid} waits, and nobody begins`);
    }
    if (beginning > this.#options.processors) this.violated(`${beginning} begin at a time`);
  }

  #failAgainAndAgain(now: number): boolean {
    const often =
      this.#failures > MANY && now - this.#firstFailure > LONG && now - this.#lastFailure <= PAUSE + LONGEST_DELAY;
    return often && now - Math.max(this.#lastAttempt, this.#lastEnd, this.#tooFewSince ?? now) < LONGEST_DELAY;
  }

  /** Those that hang or don't do what they were told are replaced; others are left alone. */
  #checkWorker(worker: SimulatedWorker): void {
    const { pid, signals, slot, silentSince, fate, startedAt, signalledAt, isUnwatched, wasUnwatched } = worker;
    const now = this.#options.now();
    if (worker.isForgotten) this.violated(`worker ${pid} is not watched`);
    if (worker.end !== undefined) {
      if (!isUnwatched) this.violated(`worker ${pid} has ended, and nobody took note`);
    } else if (slot === undefined) {
      if (signals.length > 0 && !wasUnwatched) this.violated(`worker ${pid} got ${signals}, for nothing`);
    } else if (signals.length === 0) {
      if (fate.begins && silentSince !== undefined && now - silentSince > SILENCE)
        this.violated(`worker ${pid} is silent`);
      if (!fate.begins && !worker.isWaiting && now - startedAt > BIRTH) this.violated(`worker ${pid} has never begun`);
    } else if (signals.at(-1) !== 'SIGKILL' && now - signalledAt > OBSTINACY) this.violated(`worker ${pid} lives on`);
  }

  /** The end of a worker is told by its cause. */
  #checkObituary({ pid, end, obituary }: SimulatedWorker): void {
    if (end === undefined) throw new Error(`worker ${pid} has not ended`);
    const { code, status } = end;
    const expected = code === 'exited' ? `${status}` : signalName(status);
    const isSuccess = code === 'exited' && status === 0;
    const [[level, message] = ['none', ''], ...others] = obituary;
    const isRight =
      level === (isSuccess ? 'debug' : 'warning') &&
      (isSuccess || message.includes(expected)) &&
      message.includes('core') === (code === 'dumped');
    if (!isRight || others.length > 0)
      this.violated(`of worker ${pid}, ${code} ${status}, is told: ${obituary.join()}`);
  }

  /** A start although there are enough. */
  #justify(now: number): void {
    if (this.requests > 0) {
      this.requests--;
      return;
    }
    const isHelp = this.waitingSince !== undefined && this.#helpedAt !== now;
    if (!isHelp) this.violated('a start for nothing');
    this.#helpedAt = now;
  }

  get #isFull(): boolean {
    return this.#options.now() < this.#windowEnd && this.#taken >= BURST;
  }

  /** Whether the pool may believe that it serves. */
  #mayServe(worker: SimulatedWorker): boolean {
    // One that was killed because it can't be watched lives as far as anybody knows, until its end is told.
    if (worker.signals.length > 0) return worker.isUnwatched || (worker.slot === undefined && this.#options.foreign);
    return serves(worker) || this.#options.now() - worker.conditionSince < LOOK;
  }

  /** Whether the pool must believe that it serves. */
  #surelyServes(worker: SimulatedWorker): boolean {
    if (worker.signals.length > 0 || worker.wasUnwatched || !serves(worker)) return false;
    return worker.conditionSince === worker.startedAt || this.#options.now() - worker.conditionSince >= LOOK;
  }

  /** How many there are of a kind, up to five. */
  #count(which: (worker: SimulatedWorker) => boolean): number {
    let count = 0;
    for (const worker of this.living) if (which(worker) && ++count === MINIMUM) break;
    return count;
  }
}

function serves({ condition }: SimulatedWorker): boolean {
  return condition === 'serving' || condition === 'starting';
}
