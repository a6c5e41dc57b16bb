import { SystemError } from '@sdrx/linux';
import { type Observable, type Subscriber, type Subscription, take } from 'rxjs';
import type { EventLoop } from '../loop.js';
import { Backoff } from './backoff.js';
import { ProgramRun, type RunEnd } from './program-run.js';
import { stopRequests } from './stop-requests.js';
import { checkProgram, type Program, type SuperviseSettings } from './supervise-options.js';
import type { ProgramEnded, ProgramStarted, SupervisionEvent, SupervisionOver } from './supervision-event.js';

/** What keeps one program running, for one subscriber: its start, its end, and what follows. */
export class Supervision {
  readonly #loop: EventLoop;
  readonly #program: Program | ((attempt: number) => Program);
  readonly #settings: SuperviseSettings;
  readonly #subscriber: Subscriber<SupervisionEvent>;
  readonly #backoff: Backoff;
  /** The next start, while there is no run. */
  #next: Subscription | undefined;
  #run: ProgramRun | undefined;
  #watchdog: Subscription | undefined;
  #attempts = 0;
  #success = true;
  #paused = false;
  #stopping = false;

  constructor(
    loop: EventLoop,
    program: Program | ((attempt: number) => Program),
    settings: SuperviseSettings,
    subscriber: Subscriber<SupervisionEvent>,
  ) {
    this.#loop = loop;
    this.#program = program;
    this.#settings = settings;
    this.#subscriber = subscriber;
    this.#backoff = new Backoff(settings.backoff);
    // First, so that what follows may end it all.
    subscriber.add(() => this.#dispose());
    this.#schedule(0);
    const { stopOn, paused } = settings;
    if (paused !== undefined) this.#follow(paused, (on) => this.#pause(on));
    if (stopOn !== undefined) this.#follow(stopRequests(stopOn), () => this.#stop());
  }

  #follow<V>(option: Observable<V>, next: (value: V) => void): void {
    if (this.#subscriber.closed) return;
    this.#subscriber.add(option.subscribe({ next, error: (error) => this.#subscriber.error(error) }));
  }

  #dispose(): void {
    this.#next?.unsubscribe();
    this.#watchdog?.unsubscribe();
    const run = this.#run;
    this.#run = undefined;
    run?.[Symbol.dispose]();
  }

  #pause(on: boolean): void {
    this.#paused = on;
    this.#run?.pause(on);
  }

  #stop(): void {
    if (this.#stopping) this.#run?.kill();
    else this.#run?.stop('stop');
    this.#stopping = true;
    if (this.#next === undefined) return;
    this.#next.unsubscribe();
    // Whoever is told may ask for it once more.
    this.#next = undefined;
    this.#finish('stopped');
  }

  /** Starts it when the time has come and the loop gets to it, so never while somebody is told something. */
  #schedule(delay: number): void {
    const { priority } = this.#settings;
    const options = { priority, description: 'start of a program' };
    const due: Observable<unknown> =
      delay > 0 ? this.#loop.time({ after: delay, ...options }) : this.#loop.defer(options);
    let came = false;
    this.#next = due.subscribe({
      next: () => {
        came = true;
        this.#next = undefined;
        this.#start();
      },
      error: (error) => this.#subscriber.error(error),
      complete: () => {
        if (!came) this.#subscriber.complete();
      },
    });
  }

  #start(): void {
    const { limit, atLimit } = this.#settings;
    const now = this.#loop.now();
    if (limit?.take(now) === false) {
      if (atLimit === 'give-up') this.#finish('gave-up');
      else this.#wait(limit.wait(now), 'start-limit');
      return;
    }
    const attempt = this.#attempts + 1;
    try {
      const program = typeof this.#program === 'function' ? this.#program(attempt) : this.#program;
      checkProgram(program);
      // The function may have had it stopped, or ended it all.
      if (this.#stopping) this.#finish('stopped');
      else if (!this.#subscriber.closed) this.#run = this.#spawn(program, attempt);
    } catch (error) {
      this.#subscriber.error(error);
    }
    if (this.#run !== undefined) this.#begin(this.#run, { type: 'started', pid: this.#run.pid, attempt });
  }

  /** @returns undefined if it could not be started, which is an end */
  #spawn(program: Program, attempt: number): ProgramRun | undefined {
    this.#attempts = attempt;
    try {
      return new ProgramRun(this.#loop, program, this.#settings, {
        line: (pid, stream, { text, cut }) => this.#emit({ type: 'line', pid, attempt, stream, text, cut }),
        ended: (pid, end) => this.#ended(attempt, pid, end),
        failed: (error) => this.#subscriber.error(error),
        completed: () => this.#subscriber.complete(),
      });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      this.#failed(attempt, error);
      return undefined;
    }
  }

  #begin(run: ProgramRun, started: ProgramStarted): void {
    this.#emit(started);
    // Whoever was told may have ended it all.
    if (this.#run !== run) return;
    run.begin(this.#paused);
    // What can't be watched has ended it all.
    if (this.#run === run) this.#watch(run, started);
  }

  #watch(run: ProgramRun, started: ProgramStarted): void {
    const hangs = () => run.stop('watchdog');
    try {
      const watchdog = this.#settings.watchdog?.(started).pipe(take(1)).subscribe({ next: hangs, error: hangs });
      // It may have ended it all, too.
      if (this.#run === run) this.#watchdog = watchdog;
      else watchdog?.unsubscribe();
    } catch (error) {
      this.#subscriber.error(error);
    }
  }

  /** It could not be started. */
  #failed(attempt: number, error: SystemError): void {
    const unknown = { pid: undefined, code: undefined, status: undefined };
    const end = { forced: false, success: false, after: 0, stable: false, outputLeft: false };
    this.#followEnd({ type: 'ended', ...unknown, attempt, cause: 'spawn-failed', ...end, error });
  }

  #ended(attempt: number, pid: number, { exit, cause, ...end }: RunEnd): void {
    this.#run = undefined;
    this.#watchdog?.unsubscribe();
    const { statuses, signals } = this.#settings;
    const good = exit !== undefined && (exit.code === 'exited' ? statuses : signals).has(exit.status);
    const success = good && exit.code !== 'dumped' && cause !== 'watchdog';
    const stable = this.#backoff.isStable(end.after);
    const what = { code: exit?.code, status: exit?.status, cause, ...end, success, stable, error: undefined };
    this.#followEnd({ type: 'ended', pid, attempt, ...what });
  }

  /** Tells the end, and does what comes after it. */
  #followEnd(ended: ProgramEnded): void {
    const { restart } = this.#settings;
    this.#success = ended.success;
    this.#emit(ended);
    if (this.#subscriber.closed) return;
    if (this.#stopping) this.#finish('stopped');
    else if (restart === 'never' || (restart === 'on-failure' && ended.success)) this.#finish('done');
    else this.#wait(this.#backoff.next(ended.after), 'backoff');
  }

  #wait(delay: number, reason: 'backoff' | 'start-limit'): void {
    this.#schedule(delay);
    if (delay > 0) this.#emit({ type: 'waiting', delay, reason, attempt: this.#attempts + 1 });
  }

  #finish(type: SupervisionOver['type']): void {
    this.#emit({ type, attempts: this.#attempts, success: this.#success });
    this.#subscriber.complete();
  }

  #emit(event: SupervisionEvent): void {
    this.#subscriber.next(event);
  }
}
