/** A place in a heap, by which what stands there can be taken out again. */
export class HeapEntry<T> {
  /** Where it stands, −1 when it was taken out. */
  index = -1;

  constructor(
    readonly item: T,
    readonly key: number,
    readonly order: number,
  ) {}
}

/** A binary heap: the smallest key first, among equal keys the one that was added first. */
export class Heap<T> {
  readonly #entries: HeapEntry<T>[] = [];
  #added = 0;

  get size(): number {
    return this.#entries.length;
  }

  /** The first entry, which stays. */
  first(): HeapEntry<T> | undefined {
    return this.#entries[0];
  }

  /** The smallest key but one; Infinity with fewer than two entries. */
  secondKey(): number {
    const left = this.#entries[1]?.key ?? Number.POSITIVE_INFINITY;
    return Math.min(left, this.#entries[2]?.key ?? Number.POSITIVE_INFINITY);
  }

  add(item: T, key: number): HeapEntry<T> {
    const entry = new HeapEntry(item, key, this.#added++);
    this.#up(entry, this.#entries.length);
    return entry;
  }

  /** Takes an entry out; harmless if it already is. */
  remove(entry: HeapEntry<T>): void {
    const { index } = entry;
    if (index < 0) return;
    entry.index = -1;
    const last = this.#entries.pop();
    if (last === undefined || last === entry) return;
    this.#down(last, index);
    if (last.index === index) this.#up(last, index);
  }

  #up(entry: HeapEntry<T>, from: number): void {
    const entries = this.#entries;
    let index = from;
    while (index > 0) {
      const parent = entries[(index - 1) >> 1] as HeapEntry<T>;
      if (!precedes(entry, parent)) break;
      this.#place(parent, index);
      index = (index - 1) >> 1;
    }
    this.#place(entry, index);
  }

  #down(entry: HeapEntry<T>, from: number): void {
    const entries = this.#entries;
    let index = from;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= entries.length) break;
      const right = entries[child + 1];
      if (right !== undefined && precedes(right, entries[child] as HeapEntry<T>)) child++;
      const next = entries[child] as HeapEntry<T>;
      if (!precedes(next, entry)) break;
      this.#place(next, index);
      index = child;
    }
    this.#place(entry, index);
  }

  #place(entry: HeapEntry<T>, index: number): void {
    this.#entries[index] = entry;
    entry.index = index;
  }
}

function precedes(a: HeapEntry<unknown>, b: HeapEntry<unknown>): boolean {
  return a.key < b.key || (a.key === b.key && a.order < b.order);
}
