import { checkMethods, checkNumber, checkText, type Fd, type Signal } from '@sdrx/linux';
import { filter, firstValueFrom, Observable, ReplaySubject, Subject, Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { Predecessor } from '../restart/take-over.js';
import { ControlSocket } from './control-socket.js';
import { FormerProcesses } from './former-processes.js';
import { Ground, type Heir } from './ground.js';
import { type IdleOptions, idle } from './idle.js';
import { messageOf } from './message-of.js';
import { oneLine } from './one-line.js';
import { Restarts } from './restarts.js';
import { DeadlineError, EndError, type Ending, Scope } from './scope.js';
import type { EndingEvent, Service, ServiceEvent } from './service.js';
import type { RestartOptions, ServiceOptions } from './service-options.js';
import type { ServiceSystem } from './service-system.js';
import type { Serving } from './serving.js';
import { Servings } from './servings.js';
import { keepGivingSigns } from './signs-of-life.js';
import type { SocketDeclarations, Sockets } from './socket-declaration.js';
import { tell } from './tell.js';

/** SIGTERM is looked at before anything else, so that what it is about is clear. */
const SIGNAL_PRIORITY = -20;

/** A service for one connection ends when that has ended. */
const WHEN_SERVED = { after: 0, minimumUptime: 0, always: true };

/** A service from its start to its end. */
export class ServiceLife<D extends SocketDeclarations> implements Service<D> {
  readonly loop: EventLoop;
  readonly scope: Scope;
  readonly #options: ServiceOptions<D>;
  readonly #system: ServiceSystem;
  readonly #report: (error: unknown) => void;
  readonly #ground: Ground<D>;
  readonly #former: FormerProcesses;
  readonly #restarts: Restarts;
  readonly #control: ControlSocket | undefined;
  readonly #servings = new Servings();
  readonly #busy: Observable<number>[] = [];
  readonly #events = new Subject<ServiceEvent>();
  readonly #last = new ReplaySubject<unknown>(1);
  readonly #current = new ReplaySubject<void>(1);
  readonly #endBegins = new AbortController();
  /** What is looked at for as long as the loop runs. */
  readonly #watched = new Subscription();
  /** What this process says of itself, until another one is the service. */
  readonly #signs = new Subscription();
  #idle: Subscription | undefined;
  /** While it may be that this process is the service in a moment. */
  #succession: Promise<boolean> | undefined;
  #isCurrent = false;
  #isEnding = false;
  readonly #hurried = new AbortController();
  #stopsSinceHandOver = 0;
  state: unknown;

  constructor(options: ServiceOptions<D>, system: ServiceSystem, report: (error: unknown) => void) {
    this.#options = options;
    this.#system = system;
    this.loop = system.makeLoop();
    this.#report = report;
    this.scope = new Scope({
      later: (milliseconds, call) => system.later(milliseconds, call),
      ...(options.deadline === undefined ? {} : { deadline: options.deadline }),
    });
    this.#ground = Ground.prepare(options, system, report);
    const { predecessor, control, stored } = this.#ground;
    if (predecessor === undefined) {
      this.state = stored.state;
      if (stored.last !== undefined) this.#last.next(stored.last);
      this.#last.complete();
    }
    this.#former = new FormerProcesses(system, predecessor?.draining ?? []);
    this.#restarts = this.#makeRestarts();
    this.scope.add('sockets', () => this.#ground.close(this.#heir));
    if (control !== undefined) {
      const served = new ControlSocket(control.fd, this.#commands());
      this.#control = served;
      this.scope.add('control socket', (ending) => served.drain(ending));
    }
    this.scope.add('former processes', (ending) => this.#waitForFormer(ending));
  }

  get sockets(): Sockets<D> {
    return this.#ground.sockets;
  }

  get activated(): boolean {
    return this.#ground.activated;
  }

  get generation(): number {
    return this.#ground.predecessor?.generation ?? this.#ground.stored.generation;
  }

  get last(): Observable<unknown> {
    return this.#last;
  }

  get events(): Observable<ServiceEvent> {
    return this.#events;
  }

  get ending(): AbortSignal {
    return this.#endBegins.signal;
  }

  get current(): Promise<void> {
    return firstValueFrom(this.#current);
  }

  get alone(): Promise<void> {
    return firstValueFrom(this.#former.count.pipe(filter((count) => count === 0))).then(() => undefined);
  }

  // Functions of the object: a program may take what it needs out of it.
  readonly serve = <S extends Serving>(serving: S): S => {
    checkMethods('serving', serving, 'a Serving', 'resume', 'pause', 'drain');
    if (this.scope.ending) throw new Error('nothing can be served any more: the service is ending');
    // All at a time: each may take as long as it may.
    if (this.#servings.all.length === 0) this.scope.add('connections', (ending) => this.#servings.drain(ending));
    this.#servings.add(serving);
    this.#leaveWhenIdle();
    return serving;
  };

  readonly keepsBusy = (count: Observable<number>): void => {
    checkMethods('count', count, 'an Observable', 'subscribe');
    this.#busy.push(count);
    this.#leaveWhenIdle();
  };

  readonly take = (name: string): Fd | undefined => this.#ground.take(name);

  readonly progress = (text: string, extend: number): void => {
    checkText('text', text);
    checkNumber('extend', extend, 0, 0x7fff_ffff);
    const { predecessor } = this.#ground;
    if (predecessor !== undefined) predecessor.progress(text, extend);
    else tell(this.#system, { STATUS: oneLine(text), EXTEND_TIMEOUT_USEC: extend * 1000 });
  };

  readonly restart = (): Promise<number | undefined> => this.#restarts.begin();

  readonly stop = (): void => {
    if (!this.#isEnding) void this.#end('asked');
    else if (this.#restarts.successor === undefined || this.#stopsSinceHandOver++ > 0) this.#hurry();
  };

  /** The whole of it. @returns the exit status */
  async run(start: (service: Service<D>) => unknown): Promise<number> {
    // Without operators of rxjs, each of which would have to be loaded before the first client is answered.
    const program = new Observable<never>((subscriber) => {
      subscriber.add(this.#watched);
      subscriber.add(this.#signs);
      this.#watched.add(this.#restarts.handedOver.subscribe(() => this.#signs.unsubscribe()));
      this.#obeySignals();
      this.#former.watch(this.loop, (error) => void this.#fail(error));
      void this.#begin(start);
    });
    try {
      return await this.loop.run(program);
    } finally {
      this.#ground.predecessor?.[Symbol.dispose]();
    }
  }

  get #restartOptions(): RestartOptions | undefined {
    const { restart } = this.#options;
    return restart === true ? {} : restart === false ? undefined : restart;
  }

  /** Who has the service when this process ends now. */
  get #heir(): Heir {
    if (this.#restarts.successor !== undefined) return 'successor';
    return this.#ground.predecessor === undefined || this.#isCurrent ? 'nobody' : 'predecessor';
  }

  /** All that is served, also to those who control the service. */
  get #allServings(): readonly Serving[] {
    return this.#control === undefined ? this.#servings.all : [this.#control, ...this.#servings.all];
  }

  #makeRestarts(): Restarts {
    const life = this;
    return new Restarts(
      {
        loop: this.loop,
        system: this.#system,
        isConnection: this.#ground.isConnection,
        get stage() {
          return life.#isEnding ? 'ending' : life.#isCurrent ? 'current' : 'starting';
        },
        get draining() {
          return life.#former.running.length;
        },
        plan: () => ({
          sockets: this.#ground.toHand(),
          servings: this.#allServings,
          draining: this.#former.running,
          generation: this.generation,
        }),
        happens: (event) => this.#events.next(event),
        get succeeded() {
          return life.#succeeded;
        },
        giveWay: () => void this.#end('restarted'),
        successorCrashed: (pid) => this.#successorCrashed(pid),
        cleanUpAfter: (pid) => this.#tryTo(() => this.#ground.cleanUpAfter(pid)),
        report: this.#report,
      },
      this.#restartOptions ?? {},
    );
  }

  /** When a process that takes over is the service, or is not to be. */
  get #succeeded(): Promise<unknown> {
    if (this.#ground.predecessor === undefined) return Promise.resolve();
    return unlessAborted(this.#endBegins.signal, this.current);
  }

  /** The service manager does not see it as long as this process is its parent, and starts nothing in its place. */
  #successorCrashed(pid: number): void {
    this.#report(`process ${pid}, which is the service, has ended`);
    if (this.#system.environment.NOTIFY_SOCKET !== undefined) this.#hurry();
  }

  async #begin(start: (service: Service<D>) => unknown): Promise<void> {
    const { predecessor } = this.#ground;
    try {
      if (predecessor !== undefined) this.state = await predecessor.state(this.loop);
      if (this.#isEnding) return;
      await start(this);
      if (this.#isEnding) return;
      if (predecessor === undefined) this.#resume();
      else {
        this.#succession = this.#succeed(predecessor);
        if (!(await this.#succession)) return;
      }
      this.#becomeCurrent();
    } catch (error) {
      await this.#fail(error);
    }
  }

  /** Becomes the service in place of another process. @returns false if it is to end before that */
  async #succeed(predecessor: Predecessor): Promise<boolean> {
    await predecessor.ready();
    if (this.#isEnding) return false;
    this.#resume();
    await predecessor.accepting();
    this.#isCurrent = true;
    this.#tryTo(() => this.#ground.takePossession());
    void this.#listenToLastWords(predecessor);
    return true;
  }

  #becomeCurrent(): void {
    if (this.#ground.predecessor === undefined) tell(this.#system, { READY: 1 });
    this.#isCurrent = true;
    this.#ground.stored[Symbol.dispose]();
    this.#current.next();
    if (!this.#signs.closed) this.#signs.add(keepGivingSigns(this.loop, this.#system, this.#report));
    this.#leaveWhenIdle();
    this.#events.next({ type: 'ready' });
  }

  async #listenToLastWords(predecessor: Predecessor): Promise<void> {
    try {
      for await (const said of predecessor.messages()) {
        if (said.type === 'last') this.#last.next(said.value);
        else if (said.type === 'reload') this.#restarts.answerReload();
        else if (!this.#isEnding) this.stop();
      }
    } catch (error) {
      this.#report(error);
    }
    this.#last.complete();
  }

  #obeySignals(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) this.#onSignal(signal, () => this.stop());
    const { signals = ['SIGHUP'] } = this.#restartOptions ?? { signals: [] };
    for (const signal of signals) {
      // Has been reported.
      this.#onSignal(signal, () => void this.#restarts.reload().catch(() => {}));
    }
  }

  /** What goes wrong where nobody waits for it ends the service. */
  #onSignal(signal: Signal, work: () => void): void {
    const failed = (error: unknown) => void this.#fail(error);
    const signals = this.loop.signal(signal, { priority: SIGNAL_PRIORITY });
    this.#watched.add(signals.subscribe({ next: work, error: failed }));
  }

  get #idleOptions(): IdleOptions | undefined {
    if (this.#ground.isConnection) return WHEN_SERVED;
    const { idle } = this.#options;
    const options = typeof idle === 'number' ? { after: idle } : idle;
    return this.activated || options?.always === true ? options : undefined;
  }

  /** Looks from now on, in place of what it looked at before, whether all that there is to do is done. */
  #leaveWhenIdle(): void {
    this.#idle?.unsubscribe();
    const options = this.#idleOptions;
    if (options === undefined || !this.#isCurrent || this.#isEnding) return;
    const isIdle = idle(
      this.loop,
      [...this.#allServings, ...this.#busy, this.#former.count, this.#restarts.underWay],
      options,
    );
    this.#idle = isIdle.subscribe({
      next: () => void this.#end('idle'),
      error: (error) => void this.#fail(error),
    });
    this.#signs.add(this.#idle);
  }

  #resume(): void {
    this.#control?.resume();
    this.#servings.resume();
  }

  /** A process that has given way leaves it to its successor, one that is not the service to its predecessor, which is among them. */
  async #waitForFormer(ending: Ending): Promise<void> {
    if (this.#heir === 'nobody') await this.#former.ended(ending);
  }

  async #fail(error: unknown): Promise<void> {
    this.#report(error);
    const { predecessor } = this.#ground;
    if (this.#heir === 'predecessor') predecessor?.failed(error);
    else if (this.#heir === 'nobody') tell(this.#system, { STATUS: oneLine(messageOf(error)) });
    await this.#end('failed', 1);
  }

  async #end(why: EndingEvent['why'], status = 0): Promise<void> {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#servings.stop();
    await this.#restarts.giveUp();
    // If it said that it serves, it is the service in a moment.
    if (this.#succession !== undefined) await unlessAborted(this.#hurried.signal, this.#succession);
    if (this.#heir === 'nobody') {
      if (why !== 'failed') this.#tryTo(() => this.#restarts.leaveInheritance(this.generation));
      tell(this.#system, { STOPPING: 1 });
    } else if (this.#heir === 'predecessor' && why !== 'failed') this.#ground.predecessor?.failed('it was told to end');
    if (this.#heir === 'nobody') this.#refuseNewcomers();
    if (this.#isCurrent) this.#tryTo(() => this.#ground.predecessor?.bye());
    this.#idle?.unsubscribe();
    this.#endBegins.abort();
    this.#events.next({ type: 'ending', why });
    let outcome = status;
    try {
      await this.scope.end(why === 'failed' || this.#hurried.signal.aborted ? 'immediate' : 'graceful');
    } catch (error) {
      this.#report(error);
      if (!isInTime(error)) outcome = 1;
    }
    this.#tryTo(() => this.#restarts.sayLastWords());
    this.loop.exit(outcome);
  }

  /** Who comes now learns that nobody is there, rather than to wait for that until the last connection has ended. */
  #refuseNewcomers(): void {
    for (const serving of this.#servings.all) this.#tryTo(() => serving.pause());
    this.#tryTo(() => this.#ground.refuseNewcomers());
  }

  /** Breaks off what is under way, as soon as it is clear who goes on with the service. */
  #hurry(): void {
    this.#hurried.abort();
    if (this.scope.ending) void this.scope.end('immediate').catch(() => {});
  }

  #commands(): Record<string, () => string | Promise<string>> {
    const commands = {
      status: () =>
        `process ${this.#system.pid}, restarted ${this.generation} times, ${this.#former.running.length} former processes have connections`,
      stop: () => {
        this.stop();
        return 'the service is ending';
      },
    };
    if (this.#restartOptions === undefined) return commands;
    return { ...commands, restart: async () => restarted(await this.#restarts.reload()) };
  }

  /** Reports what goes wrong where it must not keep anything from going on. */
  #tryTo(work: () => void): void {
    try {
      work();
    } catch (error) {
      this.#report(error);
    }
  }
}

function restarted(pid: number | undefined): string {
  return pid === undefined ? 'the service manager starts it again' : `process ${pid} is the service`;
}

/** Resolves when a promise is settled, or the signal aborted. */
function unlessAborted(signal: AbortSignal, promise: Promise<unknown>): Promise<unknown> {
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  return Promise.race([promise.catch(() => {}), aborted]);
}

/** Whether all that went wrong at an end is that something was broken off at its time, which is what a deadline is for. */
function isInTime(error: unknown): boolean {
  if (error instanceof EndError) return error.errors.every(isInTime);
  return error instanceof DeadlineError && !error.leftBehind;
}
