import type { Dispatchable } from './dispatchable.js';

/** The sources with a `prepare`, which is called once an iteration. sd_event_prepare(3) */
export class Preparation {
  /** In which iteration it was called last. */
  readonly #sources = new Map<Dispatchable, number>();

  get size(): number {
    return this.#sources.size;
  }

  add(source: Dispatchable): void {
    this.#sources.set(source, 0);
  }

  delete(source: Dispatchable): void {
    this.#sources.delete(source);
  }

  /** Calls back for each that is to be prepared in an iteration, also for those that others add meanwhile. */
  run(iteration: number, prepare: (source: Dispatchable) => void): void {
    for (let due = this.#due(iteration); due.length > 0; due = this.#due(iteration)) {
      for (const source of due) {
        if (!this.#sources.has(source)) continue;
        this.#sources.set(source, iteration);
        prepare(source);
      }
    }
  }

  #due(iteration: number): Dispatchable[] {
    return [...this.#sources]
      .filter(([{ suspended }, last]) => last !== iteration && !suspended)
      .map(([source]) => source)
      .sort((a, b) => a.priority - b.priority);
  }
}
