import type {
  Alarm,
  Attachment,
  Child,
  Kernel,
  SignalListener,
  SourceHandle,
  WantedChanges,
  WantedPressure,
  Watch,
} from '@sdrx/event';
import { type ChildChange, type Clock, EHOSTDOWN, type InotifyRecord, SystemError } from '@sdrx/linux';
import { ReadyList, type Telling } from './ready-list.js';
import { isRealPipe, RealPipes } from './real-pipes.js';
import { VirtualChildren } from './virtual-children.js';
import { VirtualDescriptors } from './virtual-descriptors.js';
import { VirtualFiles } from './virtual-files.js';
import type { ServiceManager } from './virtual-service-manager.js';
import { VirtualSignals } from './virtual-signals.js';
import { VirtualTime } from './virtual-time.js';

/** How far the stopwatch goes with each look, in milliseconds: a loop has about ten dispatches a turn. */
const LOOK = 0.1;

/** A kernel in which nothing happens but what a test says. */
export class VirtualKernel implements Kernel {
  readonly forked = false;
  readonly #ready = new ReadyList(() => this.#wake());
  readonly time: VirtualTime;
  readonly signals = new VirtualSignals(this.#ready);
  readonly children = new VirtualChildren(this.#ready, this.signals);
  readonly descriptors = new VirtualDescriptors(this.#ready);
  readonly files = new VirtualFiles(this.#ready);
  readonly #pipes = new RealPipes(this.#ready);
  readonly #pressure = new Set<PressureWatch>();
  /** Who is told by `notify`, if somebody is. */
  manager: ServiceManager | undefined;
  /** Whether it has no turns for now, or for ever. */
  isFrozen = false;
  #wake: () => void = () => {};
  #looks = 0;
  #turns: (() => void)[] = [];

  /** @param clocks what they show at first, in milliseconds */
  constructor(clocks: Readonly<Record<'monotonic' | 'realtime' | 'boottime', number>>) {
    this.time = new VirtualTime(this.#ready, clocks);
  }

  now(clock: Clock): number {
    return this.time.now(clock);
  }

  stopwatch(): number {
    return this.#looks++ * LOOK;
  }

  nextTurn(call: () => void): void {
    this.#turns.push(call);
  }

  /** How long it is until something is due, in milliseconds; Infinity if nothing is. */
  get next(): number {
    if (this.isFrozen) return Number.POSITIVE_INFINITY;
    return Math.min(
      this.time.next,
      Math.max(0, (this.manager?.deadline ?? Number.POSITIVE_INFINITY) - this.now('monotonic')),
    );
  }

  /** Lets time pass. What was told before was told at its time. */
  pass(milliseconds: number): void {
    this.manager?.look();
    this.time.pass(milliseconds);
  }

  /** Has a turn. @returns false if nobody wants one */
  turn(): boolean {
    if (this.isFrozen) return false;
    this.manager?.look();
    this.#pipes.look();
    const turns = this.#turns;
    this.#turns = [];
    for (const turn of turns) turn();
    return turns.length > 0;
  }

  begin(wake: () => void): void {
    this.#wake = wake;
  }

  ask(): void {
    // As with epoll(7), what was not taken is told again, whether anything became pending or not.
    if (this.#ready.tell()) this.nextTurn(() => this.#wake());
  }

  alarm(clock: Clock, rings: () => void): Alarm {
    return this.time.alarm(clock, rings);
  }

  watch(fd: number, events: number, ready: (revents: number) => void): Watch {
    const isBarrier = this.manager !== undefined && isRealPipe(fd);
    return (isBarrier ? this.#pipes : this.descriptors).watch(fd, events, ready);
  }

  takeFd(fd: number): Disposable {
    return this.descriptors.take(fd);
  }

  signal(signo: number, listener: SignalListener): () => void {
    return this.signals.listen(signo, listener);
  }

  child(which: Child, wanted: WantedChanges, observer: SourceHandle<ChildChange>): Attachment<ChildChange> {
    if (typeof which !== 'number') throw new TypeError('a virtual loop knows children of its own, by their ids');
    return this.children.watch(which, wanted, observer);
  }

  inotify(path: string | Uint8Array, mask: number, listener: (record: InotifyRecord) => void): () => void {
    return this.files.listen(path, mask, listener);
  }

  memoryPressure(_wanted: WantedPressure, observer: SourceHandle<void>): Attachment<void> {
    if (process.env.MEMORY_PRESSURE_WATCH === '/dev/null')
      throw new SystemError(EHOSTDOWN, 'memory_pressure', undefined, 'turned off by MEMORY_PRESSURE_WATCH');
    const watch = new PressureWatch(observer);
    this.#pressure.add(watch);
    return { detach: () => void this.#pressure.delete(watch) };
  }

  /** Memory is short. */
  press(): void {
    for (const watch of this.#pressure) this.#ready.add(watch);
  }

  [Symbol.dispose](): void {
    this.manager?.[Symbol.dispose]();
    this.#turns = [];
    this.#wake = () => {};
  }
}

class PressureWatch implements Telling {
  readonly #observer: SourceHandle<void>;

  constructor(observer: SourceHandle<void>) {
    this.#observer = observer;
  }

  tell(): boolean {
    if (!this.#observer.closed) this.#observer.pend();
    return false;
  }
}
