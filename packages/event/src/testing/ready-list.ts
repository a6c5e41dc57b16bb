/** Something that may be ready. */
export interface Telling {
  /** Tells those who wait for it. @returns whether it is ready still, and to be told the next time, too */
  tell(): boolean;
}

/** What is ready, in the order in which it became so, as epoll(7) has it: what stays ready comes after all others the next time. */
export class ReadyList {
  readonly #ready = new Set<Telling>();
  readonly #wake: () => void;

  /** @param wake called when there is something to ask about */
  constructor(wake: () => void) {
    this.#wake = wake;
  }

  add(thing: Telling): void {
    this.#ready.add(thing);
    this.#wake();
  }

  delete(thing: Telling): void {
    this.#ready.delete(thing);
  }

  /** Tells all that is ready now. @returns whether something may be ready still */
  tell(): boolean {
    for (const thing of [...this.#ready]) {
      if (!this.#ready.delete(thing)) continue;
      if (thing.tell()) this.#ready.add(thing);
    }
    return this.#ready.size > 0;
  }
}
