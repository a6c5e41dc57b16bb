import type { Notification, RestartError, ServiceEvent } from '@sdrx/event';
import type { PidFilePath } from './simulated-files.js';
import type { SimulatedManager } from './simulated-manager.js';
import type { SimulatedProcess } from './simulated-process.js';
import type { Fate, ServiceConstitution, SimulatedService } from './simulated-service.js';
import type { SimulatedServing } from './simulated-serving.js';

/** What the rules look at. */
export interface WatchedWorld {
  readonly loop: { now(): number };
  readonly processes: readonly SimulatedProcess[];
  readonly services: ReadonlyMap<SimulatedProcess, SimulatedService>;
  readonly pidFile: PidFilePath;
  readonly paths: ReadonlyMap<string, { readonly isOpen: boolean; readonly isShut: boolean }>;
  readonly manager: SimulatedManager | undefined;
}

/** How long the service manager is waited for, in milliseconds. */
const BARRIER = 5000;

/** How long a process that says that it ends may take, in milliseconds, and what is noticed late. */
const SLACK = 2500;

/** How late a message or its answer is noticed at most, in milliseconds. */
const LATE = 400;

/** One restart, from the start of the new process to its outcome. */
interface Attempt {
  readonly old: SimulatedService;
  readonly child: SimulatedProcess;
  readonly fate: Fate;
  /** How many descriptors the old one had before. */
  readonly open: number;
  readonly timers: number;
  /** When it has to be over. */
  until: number;
  isDisturbed: boolean;
  /** Since when nobody serves. */
  unservedSince: number | undefined;
  /** Who is the main process, as the old one has told the service manager last. */
  main: SimulatedProcess | undefined;
}

/**
 * What is promised of a restart, written from the specification and not from the code: who serves, whose things are whose, what is told,
 * how long it takes, and what is left.
 */
export class RestartRules {
  readonly violations: string[] = [];
  /** Whether something was done to the world that excuses what is late or missing. */
  isDisturbed = false;
  readonly #world: WatchedWorld;
  readonly #constitution: ServiceConstitution;
  readonly #killed = new Set<SimulatedProcess>();
  /** Those that another process has taken over from, and when. */
  readonly #gaveWay = new Map<SimulatedProcess, number>();
  readonly #attempts = new Map<SimulatedService, Attempt>();
  readonly #baseline = new Map<SimulatedService, { readonly open: number; readonly timers: number }>();
  /** What those had before whose restart has failed in this moment. */
  readonly #toBeAsBefore = new Map<SimulatedService, { readonly open: number; readonly timers: number }>();
  readonly #lasts = new Map<SimulatedService, unknown>();
  readonly #toldToEnd = new Set<SimulatedProcess>();
  #isStopped = false;
  #isUntold = false;
  /** When a restart was over last. */
  #outcomeAt = 0;
  /** Whether a program may have said that it serves, and does not: nobody can know. */
  #isDeceived = false;

  constructor(world: WatchedWorld, constitution: ServiceConstitution) {
    this.#world = world;
    this.#constitution = constitution;
  }

  readonly violated = (what: string): void => {
    this.violations.push(what);
  };

  /** Something was done that no program can do anything about. */
  disturbed(): void {
    this.isDisturbed = true;
    for (const attempt of this.#attempts.values()) attempt.isDisturbed = true;
  }

  /** Something could not be told to the service manager. */
  untold(): void {
    this.#isUntold = true;
  }

  killed(process: SimulatedProcess): void {
    this.#killed.add(process);
  }

  /** A process is told to end. */
  toldToEnd(process: SimulatedProcess): void {
    this.#toldToEnd.add(process);
  }

  /** The service is to end for good. */
  stopped(): void {
    this.#isStopped = true;
    for (const attempt of this.#attempts.values()) attempt.isDisturbed = true;
  }

  /** A new process was started. */
  forked(parent: SimulatedProcess, child: SimulatedProcess, fate: Fate): void {
    const old = this.#serviceOf(parent);
    if (old === undefined) return;
    if (this.#attempts.has(old)) this.violated(`process ${parent.pid} has begun two restarts at a time`);
    if (!old.isCurrent || old.hasGivenWay) this.violated(`process ${parent.pid} restarts, which is not the service`);
    const former = this.#world.processes.filter((each) => each.runs && this.#gaveWay.has(each)).length;
    if (former > this.#constitution.mostDraining) this.violated(`it restarts while ${former} former processes run`);
    if (fate.how === 'lies' && fate.says.some((text) => text.includes('accepting'))) this.#isDeceived = true;
    const { open, timers } = this.#baseline.get(old) ?? { open: parent.open, timers: parent.timers };
    const until = this.#now + this.#constitution.readyWithin + SLACK;
    this.#attempts.set(old, {
      old,
      child,
      fate,
      open,
      timers,
      until,
      isDisturbed: parent.isFrozen || this.#isStopped,
      unservedSince: undefined,
      main: undefined,
    });
  }

  /** A process says something to the other one. */
  said(process: SimulatedProcess, text: string): void {
    if (text.includes('"stop"'))
      for (const child of this.#world.processes) if (child.parent === process) this.toldToEnd(child);
    const attempt = [...this.#attempts.values()].find(({ child }) => child === process);
    if (attempt === undefined) return;
    const { readyWithin } = this.#constitution;
    if (text.includes('"progress"')) {
      const extend = Number(/"extend":(\d+)/.exec(text)?.[1] ?? 0);
      attempt.until = Math.max(attempt.until, this.#now + extend + SLACK);
    } else if (text.includes('"accepting"'))
      attempt.until = Math.max(attempt.until, this.#now + BARRIER + readyWithin + SLACK);
  }

  /** A process tells the service manager something. */
  told(process: SimulatedProcess, { READY, MAINPID, STOPPING, RELOADING, WATCHDOG }: Notification): void {
    const service = this.#serviceOf(process);
    if (service === undefined) return;
    const other = this.#world.processes.find(({ pid }) => pid === MAINPID);
    const attempt = this.#attempts.get(service);
    if (attempt !== undefined && MAINPID !== undefined) attempt.main = other;
    if (MAINPID !== undefined) this.#isMain(other);
    else if (READY === 1 && !service.stream.serves && !service.isEnding)
      this.violated(`READY=1 by ${process.pid}, which does not serve`);
    if (READY === 1 && MAINPID === undefined && this.#gaveWay.has(process))
      this.violated(`READY=1 by ${process.pid}, which has given way`);
    if ((STOPPING ?? RELOADING ?? WATCHDOG) !== undefined && this.#gaveWay.has(process))
      this.violated(`STOPPING, RELOADING or WATCHDOG by ${process.pid}, which has given way`);
  }

  happened(service: SimulatedService, event: ServiceEvent): void {
    if (event.type === 'restarted' || event.type === 'restart-failed') this.#outcomeAt = this.#now;
    if (event.type === 'restarted') this.#succeeded(service);
    else if (event.type === 'restart-failed') this.#failed(service, event.error);
  }

  /** A service has its state. */
  started({ process }: SimulatedService, state: unknown): void {
    const old = process.parent === undefined ? undefined : this.#serviceOf(process.parent);
    if (state !== old?.handedState) this.violated(`${process.pid} has the state ${state}, not ${old?.handedState}`);
  }

  heardLast(service: SimulatedService, last: unknown): void {
    if (this.#lasts.has(service)) this.violated('there were two last states');
    this.#lasts.set(service, last);
    const { parent } = service.process;
    const old = parent === undefined ? undefined : this.#serviceOf(parent);
    if (last !== old?.saidLast)
      this.violated(`${service.process.pid} has the last state ${last}, not ${old?.saidLast}`);
  }

  resumed(serving: SimulatedServing): void {
    const { process, exclusive, name } = serving;
    if (this.#gaveWay.has(process)) this.violated(`${process.pid} serves ${name} again, which has given way`);
    if (!exclusive) return;
    const others = this.#servings.filter((each) => each !== serving && each.name === name && each.serves);
    for (const other of others) this.violated(`${process.pid} and ${other.process.pid} both take ${name}`);
  }

  paused({ process, name, exclusive }: SimulatedServing): void {
    const service = this.#serviceOf(process);
    if (exclusive || service === undefined || this.#isStopped) return;
    // Whoever is about to end says so in the same moment.
    const isLast = !this.#isDeceived && !this.#servings.some((each) => each.name === name && each.serves);
    if (isLast && this.#attempts.get(service)?.isDisturbed === false)
      this.violated(`${process.pid} serves ${name} no more, and nobody else does`);
  }

  /** A client was refused. */
  refused(): void {
    const serves = this.#currents.find((service) => this.#successorOf(service) === undefined);
    if (serves !== undefined && !this.#isDeceived)
      this.violated(`a client is refused while ${serves.process.pid} is the service`);
  }

  ended(process: SimulatedProcess): void {
    const service = this.#serviceOf(process);
    if (service !== undefined) this.#attempts.delete(service);
  }

  /** The service of a process is over, in order. */
  serviceEnded(process: SimulatedProcess): void {
    const { pid, open, timers } = process;
    const service = this.#serviceOf(process);
    if (open > 0) this.violated(`process ${pid} ends with ${open} descriptors open`);
    if (timers > 0) this.violated(`process ${pid} ends with ${timers} timers`);
    if (this.#world.pidFile.drafts.has(pid)) this.violated(`process ${pid} leaves its unfinished PID file`);
    const left = process.loop.sources().map(({ kind, description }) => `${kind} ${description}`);
    if (left.length > 0) this.violated(`process ${pid} ends with ${left}`);
    const attempt = service === undefined ? undefined : this.#attempts.get(service);
    if (attempt !== undefined) this.violated(`process ${pid} ends in the middle of a restart`);
    const hasSaidLast = service?.saidLast !== undefined || this.isDisturbed;
    if (this.#gaveWay.has(process) && !hasSaidLast) this.violated(`process ${pid} ends without its last words`);
  }

  /** Looks at what must be true whenever nothing is to be done at the moment. */
  check(): void {
    const { pidFile, manager } = this.#world;
    for (const attempt of this.#attempts.values()) this.#checkAttempt(attempt);
    for (const [service, { open, timers }] of this.#toBeAsBefore) this.#checkAsBefore(service, open, timers);
    this.#toBeAsBefore.clear();
    for (const [process, since] of this.#gaveWay) {
      const isLate = this.#now > since + this.#constitution.deadline + SLACK;
      if (process.runs && isLate && !this.isDisturbed) this.violated(`${process.pid} has given way, and does not end`);
    }
    const currents = this.#currents;
    for (const service of currents) {
      const { process, stream, datagrams } = service;
      const attempt = this.#attempts.get(service);
      if (attempt !== undefined) {
        this.#checkServed(service, attempt);
        continue;
      }
      this.#baseline.set(service, { open: process.open, timers: process.timers });
      if (process.isFrozen) continue;
      if (!stream.serves || !datagrams.serves) this.violated(`${process.pid} is the service, and does not serve all`);
      const isOwner = currents.length > 1 || this.isDisturbed || pidFile.owner === process.pid;
      if (this.#constitution.hasPidFile && !isOwner)
        this.violated(`the PID file says ${pidFile.owner}, and ${process.pid} is the service`);
    }
    const settled = currents.filter((service) => this.#successorOf(service) === undefined);
    if (settled.length > 1)
      this.violated(`${settled.map(({ process }) => process.pid)} all take themselves for the service`);
    const [only] = settled;
    if (only !== undefined && !this.#attempts.has(only)) this.#checkMain(only);
    if (manager === undefined || this.isDisturbed || this.#isDeceived || only === undefined || this.#attempts.has(only))
      return;
    // The old process may pass it on to the new one.
    const isAnswered = manager.state !== 'reloading' || this.#attempts.size > 0 || this.#now < this.#outcomeAt + LATE;
    if (manager.isUpToDate && !isAnswered) this.violated('a reload is over, and not answered');
    if (manager.isUpToDate && manager.state === 'active' && manager.main !== only.process)
      this.violated(`to the service manager ${manager.main?.pid} is the main process, and ${only.process.pid} serves`);
  }

  /** All have ended. */
  over(): void {
    const { paths, pidFile, processes } = this.#world;
    for (const service of this.#world.services.values()) this.#checkCrash(service);
    for (const [name, { isOpen }] of paths) if (isOpen) this.violated(`${name} is open still`);
    for (const { pid, handle } of processes)
      if (handle.references > 0) this.violated(`a pidfd of ${pid} is open still`);
    if (this.#killed.size > 0 || this.isDisturbed || this.#isDeceived) return;
    if (paths.size > 0) this.violated(`the paths of ${[...paths.keys()]} are left`);
    if (pidFile.owner !== undefined || pidFile.drafts.size > 0) this.violated('a PID file is left');
  }

  get #now(): number {
    return this.#world.loop.now();
  }

  get #servings(): SimulatedServing[] {
    return [...this.#world.services.values()].flatMap(({ stream, datagrams }) => [stream, datagrams]);
  }

  #serviceOf(process: SimulatedProcess): SimulatedService | undefined {
    return this.#world.services.get(process);
  }

  /** Those that take themselves for the service: two, until the former one has heard that it was succeeded. */
  get #currents(): SimulatedService[] {
    return [...this.#world.services.values()].filter(
      ({ process, isCurrent, hasGivenWay, isEnding }) => process.runs && isCurrent && !hasGivenWay && !isEnding,
    );
  }

  /** The one that knows itself that it has taken over from this one, which does not yet. */
  #successorOf(service: SimulatedService): SimulatedService | undefined {
    const attempt = this.#attempts.get(service);
    const successor = attempt === undefined ? undefined : this.#serviceOf(attempt.child);
    return successor?.isCurrent === true ? successor : undefined;
  }

  #isMain(process: SimulatedProcess | undefined): void {
    if (process === undefined) {
      this.violated('the service manager is told of a process that is none');
      return;
    }
    const service = this.#serviceOf(process);
    if (!process.runs && !this.#killed.has(process)) this.violated(`MAINPID=${process.pid}, which has ended`);
    if (process.runs && service?.stream.serves === false && service.isCurrent && !service.isEnding)
      this.violated(`MAINPID=${process.pid}, which does not serve`);
  }

  #succeeded(service: SimulatedService): void {
    const attempt = this.#attempts.get(service);
    this.#attempts.delete(service);
    this.#gaveWay.set(service.process, this.#now);
    if (attempt === undefined) {
      this.violated(`${service.process.pid} has restarted without a start`);
      return;
    }
    const { child, fate } = attempt;
    const successor = this.#serviceOf(child);
    if (fate.how !== 'serves' && fate.how !== 'hangs' && !(fate.how === 'lies' && this.#isDeceived))
      this.violated(`a program that ${fate.how} is the service`);
    if (child.runs && successor?.isCurrent === false && !successor.isEnding)
      this.violated(`${service.process.pid} has given way before ${child.pid} knows that it is the service`);
    if (child.runs && successor?.stream.serves === false && !successor.isEnding)
      this.violated(`${child.pid} has taken over, and does not serve`);
    if (service.stream.serves || service.datagrams.serves)
      this.violated(`${service.process.pid} serves after its restart`);
  }

  #failed(service: SimulatedService, error: RestartError): void {
    const attempt = this.#attempts.get(service);
    this.#attempts.delete(service);
    if (attempt === undefined) return;
    const { child, fate, open, timers, isDisturbed } = attempt;
    const { process, isEnding, stream, datagrams } = service;
    if (child.runs) this.violated(`process ${child.pid} runs after a restart that has failed`);
    else if (!child.isReaped) this.violated(`process ${child.pid} is not reaped after a restart that has failed`);
    if (!isEnding && !this.#isStopped && !(stream.serves && datagrams.serves))
      this.violated(`${process.pid} does not serve all after a restart that has failed`);
    if (!isEnding) this.#toBeAsBefore.set(service, { open, timers });
    if (attempt.main === child && !this.#isUntold)
      this.violated(`the service manager is not told that ${process.pid} is the main process still`);
    if (this.#world.pidFile.drafts.has(child.pid) && !isDisturbed)
      this.violated(`the unfinished PID file of ${child.pid} is left`);
    if (error.reason === 'stopping' && this.#toldToEnd.has(process)) return;
    const reasons = this.#reasons(fate);
    if (!isDisturbed && !reasons.includes(error.reason))
      this.violated(`a program that ${fate.how} is refused for ${error.message}`);
  }

  /** For what a restart with such a program may fail, if nothing else is wrong. */
  #reasons(fate: Fate): readonly string[] {
    const { readyWithin } = this.#constitution;
    switch (fate.how) {
      case 'serves':
        return isInTime(fate, readyWithin) ? [] : ['time-out'];
      case 'throws':
        return ['failed', 'time-out'];
      case 'speaks otherwise':
        return ['failed'];
      case 'crashes':
        return ['died', 'time-out'];
      case 'hangs':
        return ['time-out'];
      case 'lies':
        return ['protocol', 'died', 'failed', 'time-out'];
      default:
        return ['time-out'];
    }
  }

  #checkAsBefore(service: SimulatedService, open: number, timers: number): void {
    const { process, isEnding } = service;
    if (!process.runs || isEnding || this.#attempts.has(service)) return;
    // Former processes, whose ends are noticed meanwhile, have some.
    if (process.open > open) this.violated(`${process.open} descriptors after a failed restart, ${open} before`);
    if (process.timers > timers) this.violated(`${process.timers} timers after a failed restart, ${timers} before`);
  }

  /** Where everybody may speak, the service manager does not watch over a process that is gone. */
  #checkMain({ process }: SimulatedService): void {
    const { manager } = this.#world;
    if (manager?.hearsAll !== true || this.#isUntold || process.isFrozen) return;
    if (manager.isUpToDate && manager.state === 'active' && manager.main?.runs === false)
      this.violated(`to the service manager ${manager.main.pid} is the main process, which is gone`);
  }

  /** A process that has ended in order is not taken for crashed. */
  #checkCrash({ process, errors }: SimulatedService): void {
    for (const error of errors.filter((text) => text.includes('which is the service, has ended'))) {
      const child = this.#world.processes.find(({ pid, parent }) => parent === process && error.includes(`${pid}`));
      const isOrderly = child?.end?.code === 'exited' && this.#serviceOf(child)?.isEnding === true;
      if (isOrderly && !this.isDisturbed) this.violated(`${process.pid} takes ${child.pid} for crashed`);
    }
  }

  /** In the middle of a restart somebody serves, if need be the old one again, once it has noticed what became of the new one. */
  #checkServed(service: SimulatedService, attempt: Attempt): void {
    const isServed = this.#servings.some(({ name, serves }) => name === 'web' && serves);
    // Whoever has taken over is looked at itself, and may end before this one hears of it.
    if (isServed || service.process.isFrozen || this.#isDeceived || this.#successorOf(service) !== undefined) {
      attempt.unservedSince = undefined;
      return;
    }
    attempt.unservedSince ??= this.#now;
    if (!attempt.isDisturbed || this.#now > attempt.unservedSince + LATE)
      this.violated('nobody serves in the middle of a restart');
  }

  #checkAttempt(attempt: Attempt): void {
    const { old, until, isDisturbed } = attempt;
    if (old.process.isFrozen) attempt.until = Math.max(until, this.#now + this.#constitution.readyWithin + SLACK);
    else if (this.#now > until + (isDisturbed ? this.#constitution.readyWithin + BARRIER + SLACK : 0)) {
      this.violated(`a restart of ${old.process.pid} goes on for too long`);
      attempt.until = Number.POSITIVE_INFINITY;
    }
  }
}

/** Whether a program has said in time each time that it takes longer, and is ready in time, whatever is noticed late. */
function isInTime({ takes, progress }: Extract<Fate, { how: 'serves' }>, readyWithin: number): boolean {
  let [now, until] = [0, readyWithin];
  for (const { at, extend } of progress) {
    now += at;
    if (now + LATE > until) return false;
    until = now + extend;
  }
  return Math.max(now, takes) + LATE < until;
}
