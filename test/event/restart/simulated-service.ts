import { RestartError, type RestartOptions, runService, type Service, type ServiceEvent } from '@sdrx/event';
import type { SimulatedProcess } from './simulated-process.js';
import { type ServingObserver, SimulatedServing } from './simulated-serving.js';

/** What becomes of a program that is started. */
export type Fate =
  /** It serves, when it has taken so long, and has said so often meanwhile that it takes longer. */
  | {
      readonly how: 'serves';
      readonly takes: number;
      readonly progress: readonly { readonly at: number; readonly extend: number }[];
    }
  /** Its start fails. */
  | { readonly how: 'throws'; readonly takes: number }
  /** It ends in the middle of its start. */
  | { readonly how: 'crashes'; readonly takes: number }
  /** It hangs in the middle of its start, for good or for a time. */
  | { readonly how: 'hangs'; readonly takes: number; readonly lasts: number | undefined }
  /** It says what it likes. */
  | { readonly how: 'lies'; readonly says: readonly string[]; readonly then: 'lives' | 'closes' | 'exits' }
  /** It knows another version of the protocol. */
  | { readonly how: 'speaks otherwise' }
  /** It knows nothing of a channel. */
  | { readonly how: 'is another program' };

/** How the service is. */
export interface ServiceConstitution {
  readonly readyWithin: number;
  readonly mostDraining: number;
  readonly deadline: number;
  readonly hasPidFile: boolean;
  /** After how long without a client it ends, in milliseconds; 0 for never. */
  readonly idle: number;
}

/** What is told of a service. */
export interface ServiceObserver extends ServingObserver {
  happened(service: SimulatedService, event: ServiceEvent): void;
  /** It has a state. */
  started(service: SimulatedService, state: unknown): void;
  /** What the former process knew at last. */
  heardLast(service: SimulatedService, last: unknown): void;
  after(milliseconds: number): Promise<void>;
}

/** The service as one process runs it, by the code that real ones are run by. */
export class SimulatedService {
  readonly stream: SimulatedServing;
  readonly datagrams: SimulatedServing;
  readonly errors: string[] = [];
  /** Whether it is the service, or has been. */
  isCurrent = false;
  isEnding = false;
  hasGivenWay = false;
  /** What it is to hand on, and has handed on. */
  counter = 0;
  handedState: number | undefined;
  saidLast: number | undefined;
  #service: Service | undefined;

  constructor(
    readonly process: SimulatedProcess,
    readonly fate: Fate,
    readonly constitution: ServiceConstitution,
    readonly observer: ServiceObserver,
  ) {
    this.stream = new SimulatedServing(process, 'web', false, observer);
    this.datagrams = new SimulatedServing(process, 'datagrams', true, observer);
  }

  get isReady(): boolean {
    return this.#service !== undefined;
  }

  /** Runs it to its end. */
  async run(): Promise<void> {
    const { process, constitution } = this;
    const { readyWithin, mostDraining, deadline, hasPidFile, idle } = constitution;
    const restart: RestartOptions = {
      readyWithin,
      mostDraining,
      state: () => {
        this.handedState = ++this.counter;
        return this.handedState;
      },
      last: () => {
        this.saidLast = ++this.counter;
        return this.saidLast;
      },
      program: { file: '/simulated', args: [] },
    };
    const status = await runService(
      {
        sockets: { web: 'unix:/web', datagrams: 'unix-dgram:/datagrams' },
        restart,
        deadline,
        system: process,
        report: (error) => this.errors.push(String(error)),
        ...(hasPidFile ? { pidFile: '/pid' } : {}),
        ...(idle > 0 ? { idle: { after: idle, minimumUptime: 0, always: true } } : {}),
      },
      (service) => this.#start(service as unknown as Service),
    );
    // One that could not begin ends without more.
    process.exitIfNeeded(status);
  }

  /** Asks it to restart. @returns why it did not; undefined if it did, or nobody is there to ask */
  async restart(): Promise<RestartError | undefined> {
    try {
      await this.#service?.restart();
      return undefined;
    } catch (error) {
      if (error instanceof RestartError) return error;
      throw error;
    }
  }

  stop(): void {
    this.#service?.stop();
  }

  async #start(service: Service): Promise<void> {
    const { fate, observer, process } = this;
    this.#service = service;
    this.counter = typeof service.state === 'number' ? service.state : 0;
    if (!process.runs) return;
    observer.started(this, service.state);
    service.events.subscribe((event) => {
      if (!process.runs) return;
      if (event.type === 'ready') this.isCurrent = true;
      if (event.type === 'ending') this.isEnding = true;
      if (event.type === 'restarted') this.hasGivenWay = true;
      observer.happened(this, event);
    });
    service.last.subscribe((last) => {
      if (process.runs) observer.heardLast(this, last);
    });
    service.serve(this.stream);
    service.serve(this.datagrams);
    if (fate.how === 'serves') await this.#take(service, fate.takes, fate.progress);
    else if (fate.how === 'throws' || fate.how === 'crashes' || fate.how === 'hangs') await observer.after(fate.takes);
    if (fate.how === 'throws') throw new Error('it can not start');
    if (fate.how === 'crashes') process.raise('SIGKILL');
    if (fate.how === 'hangs') await this.#hang(fate.lasts);
  }

  async #take(
    service: Service,
    takes: number,
    progress: readonly { readonly at: number; readonly extend: number }[],
  ): Promise<void> {
    let at = 0;
    for (const step of progress) {
      await this.observer.after(step.at);
      at += step.at;
      if (this.process.runs) service.progress('on its way', step.extend);
    }
    await this.observer.after(Math.max(0, takes - at));
  }

  async #hang(lasts: number | undefined): Promise<void> {
    this.process.raise('SIGSTOP');
    await this.observer.after(lasts ?? 1e9);
    this.process.raise('SIGCONT');
  }
}
