import type { BackoffOptions, ProgramEnded, SuperviseOptions, SupervisionEvent } from '@sdrx/event';
import { LATE, type RunRules } from './run-rules.js';
import type { StartLimitModel } from './start-limit-model.js';

const INEXACT = 1e-6;

/** What the rules are about. */
export interface SupervisionFacts {
  readonly name: string;
  readonly restart: NonNullable<SuperviseOptions['restart']>;
  readonly success: readonly number[];
  /** By numbers. */
  readonly signals: readonly number[];
  readonly backoff: Required<BackoffOptions>;
  readonly limit: StartLimitModel | undefined;
  readonly atLimit: 'give-up' | 'wait';
}

/**
 * The rules for a program that is kept running, as docs/keep-running.md and the docstrings have them, and what must be known to tell
 * whether they are kept. They know nothing of the supervisor but what it does and tells.
 */
export class SupervisionRules {
  readonly facts: SupervisionFacts;
  readonly #now: () => number;
  readonly violations: string[] = [];
  /** The run that has begun and of whose end nothing was told. */
  run: RunRules | undefined;
  attempts = 0;
  /** How many watchdogs watch. */
  watchdogs = 0;
  isPaused = false;
  #requests = 0;
  /** When the next attempt is due; undefined while there is a run. */
  #dueAt: number | undefined = 0;
  /** What is to be told next, at once, if anything is. */
  #next: SupervisionEvent['type'] | 'complete' | undefined;
  #delay: number;
  #success = true;
  #isOver = false;
  #isDisposed = false;
  /** What it has to fail with. */
  #failure: unknown;
  #hasFailed = false;

  constructor(facts: SupervisionFacts, now: () => number) {
    this.facts = facts;
    this.#now = now;
    this.#delay = facts.backoff.first;
  }

  /** Whether there will be nothing more. */
  get isOver(): boolean {
    return this.#isOver || this.#isDisposed;
  }

  readonly violated = (rule: string): void => {
    this.violations.push(`${this.facts.name}, at ${this.#now()}: ${rule}`);
  };

  /** Somebody wants it to end. */
  requested(): void {
    this.#requests++;
    this.run?.stopped(this.#requests === 1);
    if (this.run !== undefined || this.isOver || this.#next === 'complete') return;
    // What was to be started is not.
    if (this.#next === 'started') this.attempts--;
    this.#next = 'stopped';
  }

  /** Nobody listens any more, or the loop ends. */
  disposed(): void {
    this.#isDisposed = true;
    if (this.run !== undefined) this.run.isDisposed = true;
  }

  /** It can't go on, for this. */
  mustFail(error: unknown): void {
    if (!this.#isDisposed) this.#failure ??= error;
  }

  /** It asks what to start. */
  attempted(attempt: number): void {
    const { limit } = this.facts;
    const now = this.#now();
    if (this.isOver) this.violated('a start after the end');
    if (this.#requests > 0) this.violated('a start after it was to end');
    if (this.run !== undefined) this.violated('a start beside another run');
    if (attempt !== this.attempts + 1) this.violated(`attempt ${attempt} after ${this.attempts}`);
    if (this.#next !== undefined) this.violated(`a start before ${this.#next} was told`);
    if (limit?.take(now) === false) this.violated('more starts than the limit has');
    this.#checkTime('a start');
    this.attempts = attempt;
    this.#dueAt = undefined;
    this.#next = 'started';
  }

  /** It could not be started. */
  refused(): void {
    this.#next = 'ended';
  }

  /** Something that a start needs was refused to whoever starts. */
  mayBeRefused(): void {
    if (this.#next === 'started') this.refused();
  }

  begun(run: RunRules): void {
    this.run = run;
    run.isPaused = this.isPaused;
  }

  told(event: SupervisionEvent): void {
    if (this.isOver) this.violated(`${event.type} after the end`);
    if (this.#next !== undefined && this.#next !== event.type) this.violated(`${event.type} in place of ${this.#next}`);
    switch (event.type) {
      case 'started':
        if (event.attempt !== this.attempts || event.pid !== this.run?.facts.leader.pid)
          this.violated(`a start is told that was none: ${JSON.stringify(event)}`);
        this.#next = undefined;
        break;
      case 'line':
        if (event.attempt !== this.attempts || event.pid !== this.run?.facts.leader.pid || event.cut)
          this.violated(`a line of nobody: ${JSON.stringify(event)}`);
        this.run?.line(event.stream === 'stdout' ? 0 : 1, event.text);
        break;
      case 'ended':
        this.#ended(event);
        break;
      case 'waiting':
        this.#waits(event.delay, event.reason, event.attempt);
        break;
      default:
        this.#finished(event.type);
        if (event.attempts !== this.attempts || event.success !== this.#success)
          this.violated(`the last event is ${JSON.stringify(event)}`);
    }
  }

  completed(): void {
    if (this.#next !== 'complete' && !this.#isDisposed) this.violated('it completes too soon');
    this.#next = undefined;
    this.#isOver = true;
  }

  failed(error: unknown): void {
    if (error !== this.#failure) this.violated(`it fails with ${error}`);
    this.#hasFailed = true;
    this.disposed();
  }

  /** At rest. Throws nothing: see `violations`. */
  check(): void {
    if (this.#failure !== undefined && !this.#hasFailed) this.violated(`it does not fail with ${this.#failure}`);
    if (this.#isDisposed) return;
    if (this.#next !== undefined) this.violated(`${this.#next} was not told`);
    if (this.isOver) return;
    this.run?.check();
    if (this.#dueAt !== undefined && this.#now() > this.#dueAt + LATE)
      this.violated('there was no start when it was due');
    if (this.watchdogs > (this.run === undefined ? 0 : 1)) this.violated(`${this.watchdogs} watchdogs`);
  }

  #ended(event: ProgramEnded): void {
    const { run } = this;
    if (event.attempt !== this.attempts)
      this.violated(`the end of attempt ${event.attempt} in place of ${this.attempts}`);
    this.#next = undefined;
    if (run === undefined) this.#couldNotStart(event);
    else this.#hasEnded(event, run);
    this.run = undefined;
    this.#success = event.success;
    this.#goOn(event);
  }

  #couldNotStart({ cause, success, after, stable, pid, error }: ProgramEnded): void {
    if (cause !== 'spawn-failed' || success || after !== 0 || stable || pid !== undefined || error === undefined)
      this.violated('the end is told of what could not be started');
  }

  #hasEnded(event: ProgramEnded, run: RunRules): void {
    const { leader, fate } = run.facts;
    const { success, signals, backoff } = this.facts;
    run.over(event.outputLeft);
    const end = fate.isReapedElsewhere ? undefined : leader.end;
    const own = end === undefined ? 'unknown' : end.code === 'exited' ? 'exit' : 'signal';
    const cause = run.blame ?? own;
    const isGood = end !== undefined && (end.code === 'exited' ? success : signals).includes(end.status);
    const after = (run.noticedAt ?? 0) - leader.startedAt;
    const right = {
      pid: leader.pid,
      code: end?.code,
      status: end?.status,
      cause,
      forced: run.forced,
      success: isGood && end.code !== 'dumped' && cause !== 'watchdog',
      stable: after >= backoff.stableAfter,
    };
    for (const [name, value] of Object.entries(right))
      if (event[name as keyof typeof right] !== value)
        this.violated(`${name} is ${event[name as keyof typeof right]}, not ${value}`);
    if (Math.abs(event.after - after) > INEXACT) this.violated(`it ran for ${after}, not ${event.after}`);
  }

  /** What follows an end. */
  #goOn({ success, after }: ProgramEnded): void {
    const { restart, backoff } = this.facts;
    if (this.#requests > 0) this.#next = 'stopped';
    else if (restart === 'never' || (restart === 'on-failure' && success)) this.#next = 'done';
    else {
      if (after >= backoff.stableAfter) this.#delay = backoff.first;
      this.#dueAt = this.#now();
      if (this.#delay > 0 && backoff.jitter < 1) this.#next = 'waiting';
    }
  }

  #waits(delay: number, reason: 'backoff' | 'start-limit', attempt: number): void {
    const { backoff, limit, atLimit } = this.facts;
    const now = this.#now();
    if (attempt !== this.attempts + 1 || delay <= 0) this.violated(`it waits ${delay} ms for attempt ${attempt}`);
    if (reason === 'start-limit') {
      if (limit?.isMet(now) !== true || atLimit !== 'wait') this.violated('it waits for a limit that is not met');
      this.#checkTime('a wait for the limit');
      if (Math.abs(now + delay - (limit?.freeAt() ?? 0)) > INEXACT) this.violated(`it waits ${delay} ms for the limit`);
    } else if (Math.abs(delay - this.#delay) > this.#delay * backoff.jitter + INEXACT) {
      this.violated(`it waits ${delay} ms in place of ${this.#delay}`);
    }
    this.#dueAt = now + delay;
    this.#next = this.#requests > 0 ? 'stopped' : undefined;
    if (reason === 'backoff') this.#delay = Math.min(this.#delay * backoff.factor, backoff.most);
  }

  #finished(type: 'stopped' | 'done' | 'gave-up'): void {
    const { limit, atLimit } = this.facts;
    if (type === 'gave-up') {
      if (limit?.isMet(this.#now()) !== true || atLimit !== 'give-up') this.violated('given up for no reason');
      this.#checkTime('giving up');
    } else if (this.#next !== type) this.violated(`${type} for no reason`);
    if (this.run !== undefined) this.violated(`${type} while it runs`);
    this.#next = 'complete';
    this.#dueAt = undefined;
  }

  #checkTime(what: string): void {
    const now = this.#now();
    if (this.#dueAt === undefined || now < this.#dueAt - INEXACT || now > this.#dueAt + LATE)
      this.violated(`${what} that was due at ${this.#dueAt}`);
  }
}
