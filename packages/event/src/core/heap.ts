/** What can stand in a heap. The place is the heap's own. */
export interface HeapItem {
  /** Where it stands, −1 while it does not. */
  heapIndex: number;
}

/** Four children a node: as flat as a binary heap is high, and what is compared lies side by side in memory. */
const CHILDREN = 4;

/** A heap: the smallest key first, among equal keys the smallest order. */
export class Heap<T extends HeapItem> {
  // Side by side: an array of nothing but numbers holds them without an object each.
  readonly #items: T[] = [];
  readonly #keys: number[] = [];
  readonly #orders: number[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** The first item, which stays. */
  first(): T | undefined {
    return this.#items[0];
  }

  /** The smallest key; Infinity without an item. */
  firstKey(): number {
    return this.#keys[0] ?? Number.POSITIVE_INFINITY;
  }

  /** The order of the first item; 0 without one. */
  firstOrder(): number {
    return this.#orders[0] ?? 0;
  }

  /** The smallest key but one; Infinity with fewer than two items. */
  secondKey(): number {
    let key = Number.POSITIVE_INFINITY;
    for (let child = 1; child <= CHILDREN && child < this.#keys.length; child++) {
      key = Math.min(key, this.#keys[child] as number);
    }
    return key;
  }

  add(item: T, key: number, order = 0): void {
    this.#up(item, key, order, this.#items.length);
  }

  /** Takes an item out; harmless if it already is. */
  remove(item: T): void {
    const { heapIndex: index } = item;
    if (index < 0) return;
    item.heapIndex = -1;
    const last = this.#items.pop() as T;
    const key = this.#keys.pop() as number;
    const order = this.#orders.pop() as number;
    if (last === item) return;
    this.#down(last, key, order, index);
    if (last.heapIndex === index) this.#up(last, key, order, index);
  }

  #up(item: T, key: number, order: number, from: number): void {
    let index = from;
    while (index > 0) {
      const parent = ((index - 1) / CHILDREN) | 0;
      if (!this.#follows(parent, key, order)) break;
      this.#move(parent, index);
      index = parent;
    }
    this.#place(item, key, order, index);
  }

  #down(item: T, key: number, order: number, from: number): void {
    const { length } = this.#items;
    let index = from;
    for (;;) {
      const first = index * CHILDREN + 1;
      if (first >= length) break;
      const end = Math.min(first + CHILDREN, length);
      let least = first;
      for (let child = first + 1; child < end; child++) {
        if (this.#follows(least, this.#keys[child] as number, this.#orders[child] as number)) least = child;
      }
      if (this.#follows(least, key, order)) break;
      this.#move(least, index);
      index = least;
    }
    this.#place(item, key, order, index);
  }

  /** Whether what stands at `index` comes after one with this key and order. */
  #follows(index: number, key: number, order: number): boolean {
    const other = this.#keys[index] as number;
    return other > key || (other === key && (this.#orders[index] as number) > order);
  }

  #move(from: number, to: number): void {
    this.#place(this.#items[from] as T, this.#keys[from] as number, this.#orders[from] as number, to);
  }

  #place(item: T, key: number, order: number, index: number): void {
    this.#items[index] = item;
    this.#keys[index] = key;
    this.#orders[index] = order;
    item.heapIndex = index;
  }
}
