import { EndError, type Ending } from './scope.js';
import type { Serving } from './serving.js';

/** What a service serves, all of it at a time. */
export class Servings {
  readonly #all: Serving[] = [];
  #isServing = false;

  /** In the order in which they were added. */
  get all(): readonly Serving[] {
    return this.#all;
  }

  /** Adds one, which takes work if the others do. */
  add(serving: Serving): void {
    if (this.#isServing) serving.resume();
    this.#all.push(serving);
  }

  /** All take work from now on, and so does what is added. */
  resume(): void {
    this.#isServing = true;
    for (const serving of this.#all) serving.resume();
  }

  /** What is added from now on takes none. */
  stop(): void {
    this.#isServing = false;
  }

  /** All come to their ends, at the same time: each may take as long as it may. Rejects with EndError. */
  async drain(ending: Ending): Promise<void> {
    const outcomes = await Promise.allSettled(this.#all.map(async (serving) => serving.drain(ending)));
    const errors = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason as unknown] : []));
    if (errors.length > 0) throw new EndError(errors);
  }
}
