import type { Dispatchable } from './dispatchable.js';

/** All sources of a loop, in the order in which they were added. The links are the sources' own, as there may be very many. */
export class SourceList {
  #newest: Dispatchable | undefined;

  add(source: Dispatchable): void {
    source.older = this.#newest;
    if (this.#newest !== undefined) this.#newest.newer = source;
    this.#newest = source;
  }

  delete(source: Dispatchable): void {
    const { older, newer } = source;
    if (older !== undefined) older.newer = newer;
    if (newer !== undefined) newer.older = older;
    else if (this.#newest === source) this.#newest = older;
    source.older = source.newer = undefined;
  }

  /** Those that are there now, the oldest first. */
  all(): Dispatchable[] {
    const sources: Dispatchable[] = [];
    for (let source = this.#newest; source !== undefined; source = source.older) sources.push(source);
    return sources.reverse();
  }
}
