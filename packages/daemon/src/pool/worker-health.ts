import type { Condition } from '../limits/ledger-format.js';

/** How many looks in a row may find no new sign of life: of one that serves, and of one that was just started. */
const SILENT_LOOKS = 5;
const START_LOOKS = 20;

/** How often the patience with workers that don't get started may be doubled. */
const MOST_DOUBLINGS = 4;

/** What a look found: `silent` is one that gives no sign of life any more, `stillborn` one that never gave any. */
export type Health = Condition | 'silent' | 'stillborn';

/**
 * Judges one worker by its signs of life.
 *
 * Time is told by looks, at most one a second, not by a clock: a manager that was stopped, or slept with the machine, has not
 * looked meanwhile, so nobody seems silent for that time.
 */
export class WorkerHealth {
  #beat = 0;
  #missed = 0;

  /** Whether it has ever given a sign of life. */
  get started(): boolean {
    return this.#beat !== 0;
  }

  /** How many looks in a row have found no new sign of life. */
  get missed(): number {
    return this.#missed;
  }

  /**
   * Looks once.
   * @param beat its newest sign of life, 0 for none
   * @param patience how many looks are granted to one that has not begun
   */
  look(beat: number, condition: Condition, patience: number): Health {
    this.#missed = beat === this.#beat ? this.#missed + 1 : 0;
    this.#beat = beat;
    if (this.#missed < (this.started ? SILENT_LOOKS : patience)) return condition;
    return this.started ? 'silent' : 'stillborn';
  }
}

/**
 * How long workers are given to start. Each one that took too long doubles it: on a machine that is too busy to start one,
 * to kill it and begin anew would make things worse. One that has started brings it back, but to no less than twice what it took itself:
 * the next one may take as long.
 */
export class StartPatience {
  #doublings = 0;

  /** In looks. */
  get looks(): number {
    return START_LOOKS * 2 ** this.#doublings;
  }

  /** @param looks how many it took */
  succeeded(looks: number): void {
    const needed = Math.ceil(Math.log2(Math.max((2 * looks) / START_LOOKS, 1)));
    this.#doublings = Math.min(this.#doublings, needed);
  }

  failed(): void {
    this.#doublings = Math.min(this.#doublings + 1, MOST_DOUBLINGS);
  }
}
