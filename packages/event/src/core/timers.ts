import type { Clock } from '@sdrx/linux';
import type { Alarm, Kernel } from '../kernel/kernel.js';
import { Heap, type HeapItem } from './heap.js';

/** What waits for a time. An interface: there may be very many, so that it is best the same object as what it is for. */
export interface Timer extends HeapItem {
  /** With whom it was set last; undefined before. */
  accuracy: Accuracy | undefined;
  /**
   * Called once, at its time or up to the accuracy later.
   * @param at its time, in milliseconds on the clock
   * @param now what the clock shows
   */
  elapsed(at: number, now: number, clock: Clock): void;
}

/** Has a timer elapse once more, at `at`, in milliseconds on the clock and with the accuracy that it was set with. */
export function setAgain(timer: Timer, at: number): void {
  timer.accuracy?.owner.add(timer, at, timer.accuracy.milliseconds);
}

/** Has a timer not elapse; harmless when it has, or was never set. */
export function cancel(timer: Timer): void {
  timer.accuracy?.owner.remove(timer);
}

/**
 * All timers of one accuracy. Among them the one that is due first is also the one that can wait least, so that one heap
 * tells both. Equal times elapse in the order in which they were set.
 */
export class Accuracy {
  readonly timers = new Heap<Timer>();
  readonly asFirst: Place = { accuracy: this, heapIndex: -1 };
  readonly asLimit: Place = { accuracy: this, heapIndex: -1 };
  /** Whether its place may be another one since its first timer came or went. */
  isMoved = false;

  constructor(
    readonly owner: Timers,
    readonly milliseconds: number,
  ) {}
}

/** Where an accuracy stands in one of the two heaps of them. */
interface Place extends HeapItem {
  readonly accuracy: Accuracy;
}

/**
 * The timers of one clock, on one alarm of the kernel's. Each may elapse anywhere between its time and its time plus its accuracy: as
 * long as those windows overlap, one wake-up serves them all. A timer whose window holds no other's time is not kept
 * waiting for company.
 */
export class Timers implements Disposable {
  readonly #kernel: Kernel;
  readonly #alarm: Alarm;
  readonly #accuracies = new Map<number, Accuracy>();
  /** The accuracies by the time of their first timer. */
  readonly #firsts = new Heap<Place>();
  /** The accuracies by the latest time at which their first timer has to elapse. */
  readonly #limits = new Heap<Place>();
  /** Which have to be placed before it is asked what comes first: most timers are set and cancelled before that. */
  readonly #moved: Accuracy[] = [];
  #armed = Number.POSITIVE_INFINITY;
  #changed = false;
  #added = 0;

  /** @throws EPERM for an alarm clock without CAP_WAKE_ALARM */
  constructor(
    readonly clock: Clock,
    kernel: Kernel,
  ) {
    this.#kernel = kernel;
    this.#alarm = kernel.alarm(clock, () => this.#rings());
  }

  /** Has `timer` elapse at `at`, in milliseconds on this clock, or up to `milliseconds` later. */
  add(timer: Timer, at: number, milliseconds: number): void {
    let accuracy = this.#accuracies.get(milliseconds);
    if (accuracy === undefined) {
      accuracy = new Accuracy(this, milliseconds);
      this.#accuracies.set(milliseconds, accuracy);
    }
    timer.accuracy = accuracy;
    accuracy.timers.add(timer, at, this.#added++);
    this.#changed = true;
    if (timer.heapIndex === 0) this.#move(accuracy);
  }

  /** For `cancel`: forgets one; harmless when it has elapsed. */
  remove(timer: Timer): void {
    const { accuracy } = timer;
    if (timer.heapIndex < 0 || accuracy === undefined) return;
    const wasFirst = timer.heapIndex === 0;
    accuracy.timers.remove(timer);
    this.#changed = true;
    if (wasFirst) this.#move(accuracy);
  }

  /** Sets the alarm for what has been added and removed since; before each wait. */
  arm(): void {
    if (!this.#changed) return;
    this.#changed = false;
    this.#placeMoved();
    const limit = this.#limits.firstKey();
    const wake = this.#second() > limit ? this.#firsts.firstKey() : limit;
    if (wake === this.#armed) return;
    this.#armed = wake;
    this.#alarm.set(wake);
  }

  /** The second earliest time of all. */
  #second(): number {
    const first = this.#firsts.first();
    return Math.min(this.#firsts.secondKey(), first?.accuracy.timers.secondKey() ?? Number.POSITIVE_INFINITY);
  }

  /** After the first timer of an accuracy came or went. */
  #move(accuracy: Accuracy): void {
    if (accuracy.isMoved) return;
    accuracy.isMoved = true;
    this.#moved.push(accuracy);
  }

  #placeMoved(): void {
    for (const accuracy of this.#moved) {
      accuracy.isMoved = false;
      this.#place(accuracy);
    }
    this.#moved.length = 0;
  }

  #place(accuracy: Accuracy): void {
    const { timers, asFirst, asLimit, milliseconds } = accuracy;
    this.#firsts.remove(asFirst);
    this.#limits.remove(asLimit);
    if (timers.size === 0) {
      this.#accuracies.delete(milliseconds);
      return;
    }
    this.#firsts.add(asFirst, timers.firstKey(), timers.firstOrder());
    this.#limits.add(asLimit, timers.firstKey() + milliseconds);
  }

  #rings(): void {
    this.#armed = Number.POSITIVE_INFINITY;
    this.#changed = true;
    this.#placeMoved();
    const time = this.#kernel.now(this.clock);
    // The clock was set back. Nothing is pending, so no iteration follows that would arm the timer again.
    if (this.#firsts.firstKey() > time) this.arm();
    while (this.#firsts.firstKey() <= time) this.#elapse(time);
  }

  /** The first timer, and those of its accuracy that come before any other's. */
  #elapse(time: number): void {
    const { accuracy } = this.#firsts.first() as Place;
    const { timers } = accuracy;
    const others = this.#firsts.secondKey();
    do {
      const at = timers.firstKey();
      const timer = timers.first() as Timer;
      timers.remove(timer);
      timer.elapsed(at, time, this.clock);
    } while (timers.firstKey() <= time && timers.firstKey() < others);
    this.#place(accuracy);
  }

  [Symbol.dispose](): void {
    this.#alarm[Symbol.dispose]();
  }
}
