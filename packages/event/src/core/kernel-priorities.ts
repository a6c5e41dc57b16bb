import { Heap, type HeapItem } from './heap.js';

interface Entry extends HeapItem {
  readonly priority: number;
  count: number;
}

/** How many sources that only the kernel can make pending have each priority, and which of these is the highest. */
export class KernelPriorities {
  readonly #entries = new Map<number, Entry>();
  readonly #heap = new Heap<Entry>();
  /** The one that was used last, the only one that may be of no source: the next one often has the same priority. */
  #recent: Entry = { priority: Number.NaN, count: 0, heapIndex: -1 };

  /** The highest, hence lowest number; Infinity when there is no such source. */
  get highest(): number {
    return this.#heap.firstKey();
  }

  add(priority: number): void {
    const entry = this.#entry(priority);
    if (entry.count++ === 0) this.#heap.add(entry, priority);
  }

  delete(priority: number): void {
    const entry = this.#entry(priority);
    if (--entry.count === 0) this.#heap.remove(entry);
  }

  #entry(priority: number): Entry {
    if (this.#recent.priority === priority) return this.#recent;
    if (this.#recent.count === 0) this.#entries.delete(this.#recent.priority);
    let entry = this.#entries.get(priority);
    if (entry === undefined) {
      entry = { priority, count: 0, heapIndex: -1 };
      this.#entries.set(priority, entry);
    }
    this.#recent = entry;
    return entry;
  }
}
