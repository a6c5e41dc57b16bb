import type { Notification, ServiceEvent } from '@sdrx/event';
import { type VirtualChild, VirtualLoop } from '@sdrx/event/testing';
import { SystemError } from '@sdrx/linux';
import { Subscription } from 'rxjs';
import { lie } from './odd-program.js';
import type { OpenFile } from './open-file.js';
import { RestartRules } from './restart-rules.js';
import { type Listener, PidFilePath } from './simulated-files.js';
import { SimulatedManager, type UnitOptions } from './simulated-manager.js';
import { type CallName, type ProcessWorld, SimulatedProcess } from './simulated-process.js';
import { type Fate, type ServiceConstitution, type ServiceObserver, SimulatedService } from './simulated-service.js';
import type { SimulatedServing } from './simulated-serving.js';

/** How a world is. */
export interface WorldOptions {
  /** undefined without a service manager. */
  readonly unit: UnitOptions | undefined;
  readonly service: ServiceConstitution;
  /** What becomes of those that are started, in turn. */
  readonly fates: readonly Fate[];
  /** How long it takes until somebody notices something, in turn, in milliseconds. */
  readonly delays: readonly number[];
}

/** Something that goes wrong at a call. */
export interface Fault {
  /** Whose: a process that is the service, or one that is to be. */
  readonly who: 'old' | 'new';
  /** At which call; at any. */
  readonly call: CallName | 'any';
  /** How many of them go well before. */
  readonly after: number;
  /** An error, or what becomes of the process. */
  readonly what: number | 'kill' | 'freeze' | 'full';
}

/** What a program is that serves at once. */
export const GOOD: Fate = { how: 'serves', takes: 5, progress: [] };

/** How long the rules are not looked at, in milliseconds. */
const STEP = 500;

/** How often the rules are looked at while time passes, at most. */
const MOST_LOOKS = 40;

/** How long all may take to end, in milliseconds. */
const END = 200_000;

/**
 * A service that restarts, in a world in which nothing is real but its code: no processes, no sockets, no time. After each step of
 * time, and after each event, the rules are checked.
 */
export class RestartWorld implements ProcessWorld, ServiceObserver {
  readonly loop = new VirtualLoop();
  readonly processes: SimulatedProcess[] = [];
  readonly services = new Map<SimulatedProcess, SimulatedService>();
  readonly paths = new Map<string, Listener>();
  readonly pidFile = new PidFilePath();
  readonly manager: SimulatedManager | undefined;
  readonly rules: RestartRules;
  /** What becomes of those that are started from now on, in turn. */
  fates: readonly Fate[];
  /** What goes wrong. */
  faults: Fault[] = [];
  /** Whether few descriptors are left. */
  isShortOfDescriptors = false;
  /** How many restarts have been begun, and how many have succeeded. */
  begun = 0;
  succeeded = 0;
  readonly #options: WorldOptions;
  /** When a process notices what has happened last. */
  readonly #noticed = new Map<SimulatedProcess, number>();
  #drawnFates = 0;
  #drawnDelays = 0;
  #nextPid = 100;
  #isFull = false;
  readonly #finished: Promise<number>;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.fates = options.fates;
    this.rules = new RestartRules(this, options.service);
    if (options.unit !== undefined)
      this.manager = new SimulatedManager(
        {
          processes: this.processes,
          now: () => this.loop.now(),
          delay: () => this.delay(),
          after: (milliseconds, call) => this.#after(milliseconds, call),
          startFresh: () => this.startFresh(),
          violated: (what) => this.rules.violated(what),
          isDisturbed: () => this.rules.isDisturbed,
        },
        options.unit,
      );
    this.#finished = this.loop.run();
    if (this.manager === undefined) this.startFresh();
    else this.manager.start();
  }

  /** Those that run. */
  get living(): SimulatedProcess[] {
    return this.processes.filter(({ runs }) => runs);
  }

  /** The process that is the service, as far as it knows. */
  get current(): SimulatedService | undefined {
    return [...this.services.values()].findLast(
      ({ process, isCurrent, hasGivenWay }) => process.runs && isCurrent && !hasGivenWay,
    );
  }

  // What happens.

  /** Starts the service without a former process. The first always serves. */
  startFresh(): SimulatedProcess {
    const { unit } = this.#options;
    const environment = unit === undefined ? {} : this.#environment(unit);
    const process = new SimulatedProcess(this, this.#nextPid++, undefined, environment, undefined, undefined);
    if (unit !== undefined) environment.SYSTEMD_EXEC_PID = String(process.pid);
    this.processes.push(process);
    this.#run(process, GOOD);
    return process;
  }

  /** Lets the first process begin. */
  async begin(): Promise<void> {
    await this.pass(10);
  }

  /** Somebody wants it to restart. */
  restart(how: 'reload' | 'signal' | 'call'): void {
    const { current } = this;
    if (this.living.length === 0) this.#startAgain();
    if (current === undefined) return;
    if (how === 'signal') current.process.raise('SIGHUP');
    else if (how === 'call') void current.restart();
    else if (this.manager?.reload() !== true) current.process.raise('SIGHUP');
  }

  /** Clients come, and stay for a time. */
  clientsCome(count: number, stay: number): void {
    for (let client = 0; client < count; client++) {
      const listener = this.paths.get('web');
      if (listener === undefined || listener.isShut || !listener.isOpen) this.rules.refused();
      const serving = this.#whoTakes('web');
      if (serving === undefined) continue;
      serving.take();
      this.#after(stay, () => serving.finish());
    }
  }

  /** A process gets a signal. */
  signal(process: SimulatedProcess, signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM' | 'SIGHUP'): void {
    // One that does not listen yet ends of any of them.
    if (signal !== 'SIGHUP' || !process.loop.listensTo(signal)) this.rules.disturbed();
    if (!process.loop.listensTo(signal)) this.rules.killed(process);
    if (signal === 'SIGTERM') this.rules.toldToEnd(process);
    process.raise(signal);
  }

  /** The service is told to end by its own program. */
  stop(): void {
    const { current } = this;
    if (current === undefined) return;
    this.rules.disturbed();
    this.rules.toldToEnd(current.process);
    current.stop();
  }

  /** Lets all that is to happen now happen, and checks the rules. Throws Error with those that are not kept. */
  async settle(): Promise<void> {
    await this.loop.settle();
    this.manager?.look();
    await this.loop.settle();
    this.rules.check();
    const violations = this.rules.violations.splice(0);
    if (violations.length > 0) throw new Error(`${violations.join('; ')}, at ${this.loop.now()}`);
  }

  /** Lets time pass, with a look at the rules again and again. */
  async pass(milliseconds: number): Promise<void> {
    const { loop } = this;
    const step = Math.max(STEP, milliseconds / MOST_LOOKS);
    for (const end = loop.now() + milliseconds; loop.now() < end; ) {
      await loop.advance(Math.min(end - loop.now(), step));
      await this.settle();
    }
  }

  /** Ends all in order, and checks that nothing is left. Throws Error. */
  async end(): Promise<void> {
    this.faults = [];
    this.isShortOfDescriptors = false;
    this.manager?.stall(false);
    const frozen = this.living.filter(({ isFrozen }) => isFrozen);
    // Whoever waits for one of them has given it up by then.
    if (frozen.length > 0) await this.pass(3 * this.#options.service.readyWithin + 15_000);
    for (const process of frozen) process.raise('SIGCONT');
    await this.settle();
    this.rules.stopped();
    const { manager } = this;
    if (manager !== undefined) {
      if (manager.main !== undefined) this.rules.toldToEnd(manager.main);
      manager.stop();
    } else for (const process of this.living) this.signal(process, 'SIGTERM');
    const isOver = () => this.living.length === 0 && (manager === undefined || manager.state === 'inactive');
    for (let time = 0; time < END && !isOver(); time += STEP * 10) await this.pass(STEP * 10);
    if (!isOver()) throw new Error(`left: ${this.living.map(({ pid }) => pid)}`);
    this.rules.over();
    await this.settle();
    this.loop.exit();
    await this.loop.finish();
    await this.#finished;
    this.loop[Symbol.dispose]();
  }

  // What processes have from it.

  delay(): number {
    const { delays } = this.#options;
    return delays.length === 0 ? 0 : (delays[this.#drawnDelays++ % delays.length] ?? 0);
  }

  notice(process: SimulatedProcess, call: () => void): void {
    const at = Math.max(this.#noticed.get(process) ?? 0, this.loop.now() + this.delay());
    this.#noticed.set(process, at);
    this.#after(at - this.loop.now(), call);
  }

  after(milliseconds: number): Promise<void>;
  after(milliseconds: number, call: () => void): Subscription;
  after(milliseconds: number, call?: () => void): Promise<void> | Subscription {
    if (call !== undefined) return this.#after(milliseconds, call);
    return new Promise((resolve) => {
      this.#after(milliseconds, resolve);
    });
  }

  called(process: SimulatedProcess, call: CallName): void {
    const who = this.services.get(process)?.isCurrent === true ? 'old' : 'new';
    for (const [index, fault] of this.faults.entries()) {
      if (fault.who !== who || (fault.call !== call && fault.call !== 'any')) continue;
      if (fault.after > 0) {
        this.faults[index] = { ...fault, after: fault.after - 1 };
        continue;
      }
      this.faults.splice(index, 1);
      this.#fails(process, call, fault.what);
      return;
    }
  }

  isSendingFull(): boolean {
    const isFull = this.#isFull;
    this.#isFull = false;
    return isFull;
  }

  rewrites(process: SimulatedProcess, message: Uint8Array): Uint8Array {
    const text = Buffer.from(message).toString();
    const isHello = text.includes('"hello"');
    if (!isHello) this.rules.said(process, text);
    const fate = this.fates[this.#drawnFates % this.fates.length];
    return isHello && fate?.how === 'speaks otherwise'
      ? Buffer.from(text.replace('"protocol":1', '"protocol":2'))
      : message;
  }

  freeDescriptors(): number {
    return this.isShortOfDescriptors ? 33 : 1000;
  }

  notify(process: SimulatedProcess, notification: Notification): boolean {
    if (this.manager === undefined || process.environment.NOTIFY_SOCKET === undefined) return false;
    this.rules.told(process, notification);
    this.manager.tell(process, notification);
    return true;
  }

  barrier(process: SimulatedProcess, heard: () => void): void {
    if (this.manager === undefined) heard();
    else this.manager.tell(process, undefined, heard);
  }

  fork(
    parent: SimulatedProcess,
    environment: NodeJS.ProcessEnv,
    child: VirtualChild,
    channel: OpenFile,
  ): SimulatedProcess {
    const process = new SimulatedProcess(this, this.#nextPid++, parent, { ...environment }, child, channel);
    const fate = this.fates[this.#drawnFates++ % this.fates.length] ?? GOOD;
    this.processes.push(process);
    this.begun++;
    this.rules.forked(parent, process, fate);
    this.#after(this.delay() + 1, () => {
      if (process.runs) this.#boot(process, fate);
    });
    return process;
  }

  processEnded(process: SimulatedProcess): void {
    this.rules.ended(process);
  }

  serviceEnded(process: SimulatedProcess): void {
    this.rules.serviceEnded(process);
  }

  // What services tell.

  happened(service: SimulatedService, event: ServiceEvent): void {
    if (event.type === 'restarted') this.succeeded++;
    this.rules.happened(service, event);
  }

  started(service: SimulatedService, state: unknown): void {
    this.rules.started(service, state);
  }

  heardLast(service: SimulatedService, last: unknown): void {
    this.rules.heardLast(service, last);
  }

  resumed(serving: SimulatedServing): void {
    this.rules.resumed(serving);
  }

  paused(serving: SimulatedServing): void {
    this.rules.paused(serving);
  }

  /** Somebody starts it who finds that it is not there. */
  #startAgain(): void {
    if (this.manager === undefined) this.startFresh();
    else if (this.manager.state === 'inactive') this.manager.start();
  }

  #environment({ watchdog }: UnitOptions): NodeJS.ProcessEnv {
    const always = { NOTIFY_SOCKET: '@simulated' };
    return watchdog === 0 ? always : { ...always, WATCHDOG_USEC: String(watchdog * 1e3) };
  }

  #boot(process: SimulatedProcess, fate: Fate): void {
    if (fate.how === 'lies') void lie(process, fate, (milliseconds) => this.after(milliseconds));
    else if (fate.how !== 'is another program') this.#run(process, fate);
  }

  #run(process: SimulatedProcess, fate: Fate): void {
    const service = new SimulatedService(process, fate, this.#options.service, this);
    this.services.set(process, service);
    service.run().catch((error: unknown) => {
      if (process.runs) this.rules.violated(`process ${process.pid}: ${String(error)}`);
    });
  }

  #whoTakes(name: string): SimulatedServing | undefined {
    const takers = [...this.services.values()]
      .flatMap(({ stream, datagrams }) => [stream, datagrams])
      .filter((serving) => serving.name === name && serving.serves && !serving.process.isFrozen);
    return takers[this.delay() % Math.max(1, takers.length)];
  }

  #fails(process: SimulatedProcess, call: CallName, what: Fault['what']): void {
    this.rules.disturbed();
    if (what === 'kill') this.signal(process, 'SIGKILL');
    else if (what === 'freeze') this.signal(process, 'SIGSTOP');
    else if (what === 'full') this.#isFull = call === 'send';
    else {
      if (call === 'notify') this.rules.untold();
      throw new SystemError(what, call);
    }
  }

  #after(milliseconds: number, call: () => void): Subscription {
    if (milliseconds === 0) {
      call();
      return Subscription.EMPTY;
    }
    const time = this.loop.time({ after: milliseconds, accuracy: 0, description: 'world' });
    // When the loop has finished, time is over.
    return time.subscribe({ next: call, error: () => {} });
  }
}
