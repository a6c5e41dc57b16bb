import type { Alarm } from '@sdrx/event';
import type { Clock } from '@sdrx/linux';
import type { ReadyList, Telling } from './ready-list.js';

/** What the clocks show, and the alarms that are set on them. It passes only when it is told to. */
export class VirtualTime {
  readonly #ready: ReadyList;
  readonly #alarms = new Set<VirtualAlarm>();
  #monotonic: number;
  /** How far each of the other clocks is ahead of the monotonic one. */
  #realtimeAhead: number;
  #boottimeAhead: number;

  /** @param clocks what they show at first, in milliseconds */
  constructor(ready: ReadyList, clocks: Readonly<Record<'monotonic' | 'realtime' | 'boottime', number>>) {
    this.#ready = ready;
    this.#monotonic = clocks.monotonic;
    this.#realtimeAhead = clocks.realtime - clocks.monotonic;
    this.#boottimeAhead = clocks.boottime - clocks.monotonic;
  }

  now(clock: Clock): number {
    return this.#monotonic + this.#ahead(clock);
  }

  /** The alarms that are set, for each the time until it rings. */
  get waiting(): { readonly clock: Clock; readonly in: number }[] {
    return [...this.#alarms]
      .filter(({ at }) => at < Number.POSITIVE_INFINITY)
      .map(({ clock, at }) => ({ clock, in: at - this.now(clock) }));
  }

  /** How long it is until the next alarm rings; Infinity if none is set. */
  get next(): number {
    let next = Number.POSITIVE_INFINITY;
    for (const { clock, at } of this.#alarms) next = Math.min(next, at - this.now(clock));
    return Math.max(next, 0);
  }

  /** Lets time pass. What is due by then rings, in the order in which it is due. */
  pass(milliseconds: number): void {
    this.#monotonic += milliseconds;
    this.#ring();
  }

  /** Lets time pass while the machine sleeps: the monotonic clock stands still, alarm clocks wake the machine. */
  sleep(milliseconds: number): void {
    this.#boottimeAhead += milliseconds;
    this.#realtimeAhead += milliseconds;
    this.#ring();
  }

  /** Sets the realtime clock. clock_settime(2) */
  set(realtime: number): void {
    this.#realtimeAhead = realtime - this.#monotonic;
    this.#ring();
  }

  alarm(clock: Clock, rings: () => void): Alarm {
    const alarm = new VirtualAlarm(clock, rings, {
      changed: () => this.#ring(),
      disposed: () => {
        this.#alarms.delete(alarm);
        this.#ready.delete(alarm);
      },
    });
    this.#alarms.add(alarm);
    return alarm;
  }

  #ahead(clock: Clock): number {
    if (clock === 'monotonic') return 0;
    return clock.startsWith('boottime') ? this.#boottimeAhead : this.#realtimeAhead;
  }

  #ring(): void {
    const due = [...this.#alarms].filter(({ clock, at }) => at <= this.now(clock));
    due.sort((a, b) => a.at - this.now(a.clock) - (b.at - this.now(b.clock)));
    for (const alarm of due) this.#ready.add(alarm);
  }
}

class VirtualAlarm implements Alarm, Telling {
  readonly clock: Clock;
  readonly #rings: () => void;
  readonly #owner: { changed(): void; disposed(): void };
  #at = Number.POSITIVE_INFINITY;

  constructor(clock: Clock, rings: () => void, owner: { changed(): void; disposed(): void }) {
    this.clock = clock;
    this.#rings = rings;
    this.#owner = owner;
  }

  get at(): number {
    return this.#at;
  }

  set(at: number): void {
    this.#at = at;
    this.#owner.changed();
  }

  tell(): boolean {
    this.#at = Number.POSITIVE_INFINITY;
    this.#rings();
    return false;
  }

  [Symbol.dispose](): void {
    this.#owner.disposed();
  }
}
