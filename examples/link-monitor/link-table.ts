import type { Link, LinkMessage } from './link-messages.js';

/** A network interface that is there, whenever it is new or has changed, or that is gone. Or what becomes of the whole. */
export type LinkEvent =
  | (Link & { readonly event: 'new' | 'gone' })
  /** All that are there have been told, and all that are not. */
  | { readonly event: 'complete' }
  /** Changes were lost: what is there now is told anew. */
  | { readonly event: 'lost' };

/** The interfaces that were told of. It finds out by the kernel's list which ones it does not know of, and which are gone. */
export class LinkTable {
  readonly #ask: () => void;
  readonly #tell: (event: LinkEvent) => void;
  readonly #links = new Map<number, Link>();
  /** Whether a list was asked for and has not ended. The kernel makes one at a time. */
  #isAsked = false;
  /** What is there since that list began; undefined before. */
  #present: Set<number> | undefined;
  /** Whether another list is needed after that one. */
  #isStale = false;

  /** @param ask asks for the list */
  constructor(ask: () => void, tell: (event: LinkEvent) => void) {
    this.#ask = ask;
    this.#tell = tell;
  }

  /** Finds out what is there. */
  refresh(): void {
    this.#isStale = this.#isAsked;
    if (this.#isAsked) return;
    this.#isAsked = true;
    this.#ask();
  }

  /** Messages were lost. */
  lose(): void {
    this.#tell({ event: 'lost' });
    this.refresh();
  }

  take(message: LinkMessage): void {
    // What comes before the list is older than it.
    if (message.listed) this.#present ??= new Set();
    if (message.torn) this.#isStale = true;
    if (message.type === 'new') this.#add(message.link);
    else if (message.type === 'gone') this.#remove(message.link.index);
    else this.#end();
  }

  #add(link: Link): void {
    this.#links.set(link.index, link);
    this.#present?.add(link.index);
    this.#tell({ event: 'new', ...link });
  }

  #remove(index: number): void {
    const link = this.#links.get(index);
    this.#links.delete(index);
    this.#present?.delete(index);
    if (link !== undefined) this.#tell({ event: 'gone', ...link });
  }

  #end(): void {
    const present = this.#present;
    this.#isAsked = false;
    this.#present = undefined;
    if (this.#isStale) {
      this.refresh();
      return;
    }
    for (const index of [...this.#links.keys()]) if (!present?.has(index)) this.#remove(index);
    this.#tell({ event: 'complete' });
  }
}
