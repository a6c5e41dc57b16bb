import { type Clock, EPOLLIN, now, TimerFd } from '@sdrx/linux';
import { Heap, type HeapEntry } from './heap.js';
import type { Watch, Watcher } from './watcher.js';

/** A time that is waited for. */
export class Timer {
  earliest: HeapEntry<Timer> | undefined;
  latest: HeapEntry<Timer> | undefined;

  constructor(
    readonly at: number,
    readonly elapsed: (timer: Timer) => void,
  ) {}
}

/**
 * The timers of one clock, on one timerfd. Each may elapse anywhere between its time and its time plus its accuracy: as
 * long as those windows overlap, one wake-up serves them all. A timer whose window holds no other's time is not kept
 * waiting for company.
 */
export class Timers implements Disposable {
  readonly #fd: TimerFd;
  readonly #watch: Watch;
  readonly #earliest = new Heap<Timer>();
  readonly #latest = new Heap<Timer>();
  #armed = Number.POSITIVE_INFINITY;
  #changed = false;

  /** Throws EPERM for an alarm clock without CAP_WAKE_ALARM. */
  constructor(
    readonly clock: Clock,
    watcher: Watcher,
  ) {
    this.#fd = new TimerFd(clock);
    this.#watch = watcher.watch(this.#fd.fd, EPOLLIN, () => this.#expired());
  }

  /** Calls `elapsed` once at `at`, or up to `accuracy` later; both in milliseconds, `at` on this clock. */
  add(at: number, accuracy: number, elapsed: (timer: Timer) => void): Timer {
    const timer = new Timer(at, elapsed);
    timer.earliest = this.#earliest.add(timer, at);
    timer.latest = this.#latest.add(timer, at + accuracy);
    this.#changed = true;
    return timer;
  }

  /** Forgets a timer; harmless when it has elapsed. */
  remove(timer: Timer): void {
    if (timer.earliest) this.#earliest.remove(timer.earliest);
    if (timer.latest) this.#latest.remove(timer.latest);
    this.#changed = true;
  }

  /** Sets the timerfd for what has been added and removed since; before each wait. */
  arm(): void {
    if (!this.#changed) return;
    this.#changed = false;
    const first = this.#earliest.first()?.key ?? Number.POSITIVE_INFINITY;
    const limit = this.#latest.first()?.key ?? Number.POSITIVE_INFINITY;
    const wake = this.#earliest.secondKey() > limit ? first : limit;
    if (wake === this.#armed) return;
    this.#armed = wake;
    this.#fd.arm(wake);
  }

  #expired(): void {
    this.#fd.acknowledge();
    this.#armed = Number.POSITIVE_INFINITY;
    this.#changed = true;
    const time = now(this.clock);
    const { size } = this.#earliest;
    for (let first = this.#earliest.first(); first !== undefined && first.key <= time; first = this.#earliest.first()) {
      this.remove(first.item);
      first.item.elapsed(first.item);
    }
    // The clock was set back. Nothing is pending, so no iteration follows that would arm the timer again.
    if (this.#earliest.size === size) this.arm();
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]();
    this.#fd[Symbol.dispose]();
  }
}
