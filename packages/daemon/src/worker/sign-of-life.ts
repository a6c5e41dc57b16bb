import type { EventLoop } from '@sdrx/event';
import type { ServerEvent } from '@sdrx/varlink';
import type { LedgerSlot } from '../limits/ledger-slot.js';

/** How often a worker gives a sign of life, and how late that may be, in milliseconds. */
const INTERVAL = 1000;
const ACCURACY = 250;

/** For how long a worker that had no room for a connection counts as full, in milliseconds: longer than it takes to try again. */
const FULL_TIME = 3000;

/** Tells the manager, by the ledger, that a worker lives and what it can do. */
export class SignOfLife {
  #fullUntil = Number.NEGATIVE_INFINITY;

  constructor(
    readonly loop: EventLoop,
    readonly slot: LedgerSlot,
  ) {}

  /** Gives signs of life from the loop itself, from now on: a worker that hangs gives none. */
  start(): void {
    const { loop, slot } = this;
    slot.condition = 'serving';
    slot.beat(loop.now());
    // Ahead of whatever else there is to do: that it is much is no reason to be taken for dead.
    const beats = { every: INTERVAL, accuracy: ACCURACY, priority: -10, description: 'sign of life' };
    loop.time(beats).subscribe(() => this.#beat());
  }

  /** Tells what a server does. */
  tell(event: ServerEvent): void {
    if (event.type === 'accepted') this.slot.accepted(event.count);
    if (event.type !== 'exhausted') return;
    this.#fullUntil = this.loop.now() + FULL_TIME;
    if (this.slot.condition === 'serving') this.slot.condition = 'full';
  }

  /** Tells that it takes no more connections. */
  drain(): void {
    this.slot.condition = 'draining';
  }

  #beat(): void {
    const now = this.loop.now();
    if (this.slot.condition === 'full' && now > this.#fullUntil) this.slot.condition = 'serving';
    this.slot.beat(now);
  }
}
