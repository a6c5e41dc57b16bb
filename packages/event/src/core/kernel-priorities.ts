import { Heap, type HeapItem } from './heap.js';

interface Entry extends HeapItem {
  readonly priority: number;
  count: number;
}

const none = (): Entry => ({ priority: Number.NaN, count: 0, heapIndex: -1 });

/** How many sources that only the kernel can make pending have each priority, and which of these is the highest. */
export class KernelPriorities {
  readonly #entries = new Map<number, Entry>();
  readonly #heap = new Heap<Entry>();
  /** The one that was used last. */
  #recent = none();

  /** The highest, hence lowest number; Infinity when there is no such source. */
  get highest(): number {
    return this.#heap.firstKey();
  }

  add(priority: number): void {
    this.#entry(priority).count++;
  }

  delete(priority: number): void {
    const entry = this.#entry(priority);
    if (--entry.count > 0) return;
    this.#entries.delete(priority);
    this.#heap.remove(entry);
    this.#recent = none();
  }

  #entry(priority: number): Entry {
    if (this.#recent.priority === priority) return this.#recent;
    let entry = this.#entries.get(priority);
    if (entry === undefined) {
      entry = { priority, count: 0, heapIndex: -1 };
      this.#entries.set(priority, entry);
      this.#heap.add(entry, priority);
    }
    this.#recent = entry;
    return entry;
  }
}
