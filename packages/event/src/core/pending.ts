import { Heap, type HeapItem } from './heap.js';

/** What can stand in the queue. All but the priority is the queue's own. */
export interface Pending {
  readonly priority: number;
  /** When it became pending last, compared with others: a number that only grows. */
  since: number;
  bucket: Bucket | undefined;
  previous: Pending | undefined;
  next: Pending | undefined;
}

/** All that is pending with one priority, in the order in which it became so. */
class Bucket implements HeapItem {
  head: Pending | undefined;
  tail: Pending | undefined;
  heapIndex = -1;

  constructor(readonly priority: number) {}
}

/** How many priorities are remembered although nothing is pending with them. */
const SPARE = 64;

/**
 * The order of dispatch: by priority (lower first), within a priority by when a source became pending. Adding and
 * removing take constant time while the number of priorities in use is small, and its logarithm beyond that.
 */
export class PendingQueue<P extends Pending> {
  readonly #buckets = new Map<number, Bucket>();
  readonly #nonEmpty = new Heap<Bucket>();
  /** The one that was used last. */
  #recent = new Bucket(Number.NaN);
  #counter = 0;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** What is next; it stays in the queue. */
  first(): P | undefined {
    return this.#nonEmpty.first()?.head as P | undefined;
  }

  /** Appends what becomes pending now; harmless when it already stands in the queue. */
  add(pending: P): void {
    if (pending.bucket !== undefined) return;
    pending.since = ++this.#counter;
    const bucket = this.#bucket(pending.priority);
    this.#insert(pending, bucket, bucket.tail);
  }

  /** Puts back what was taken out, at its place among those that became pending before and after it. */
  restore(pending: P): void {
    if (pending.bucket !== undefined) return;
    const bucket = this.#bucket(pending.priority);
    let previous = bucket.tail;
    while (previous !== undefined && previous.since > pending.since) previous = previous.previous;
    this.#insert(pending, bucket, previous);
  }

  /** Takes out; harmless when it does not stand in the queue. */
  remove(pending: P): void {
    const bucket = pending.bucket;
    if (bucket === undefined) return;
    if (pending.previous === undefined) bucket.head = pending.next;
    else pending.previous.next = pending.next;
    if (pending.next === undefined) bucket.tail = pending.previous;
    else pending.next.previous = pending.previous;
    pending.bucket = pending.previous = pending.next = undefined;
    this.#size--;
    if (bucket.head !== undefined) return;
    this.#nonEmpty.remove(bucket);
    if (this.#buckets.size > SPARE) this.#forget(bucket);
  }

  #insert(pending: Pending, bucket: Bucket, previous: Pending | undefined): void {
    const next = previous === undefined ? bucket.head : previous.next;
    this.#size++;
    pending.bucket = bucket;
    pending.previous = previous;
    pending.next = next;
    if (previous === undefined) bucket.head = pending;
    else previous.next = pending;
    if (next === undefined) bucket.tail = pending;
    else next.previous = pending;
    if (bucket.heapIndex < 0) this.#nonEmpty.add(bucket, bucket.priority);
  }

  #bucket(priority: number): Bucket {
    if (this.#recent.priority === priority) return this.#recent;
    let bucket = this.#buckets.get(priority);
    if (bucket === undefined) {
      bucket = new Bucket(priority);
      this.#buckets.set(priority, bucket);
    }
    this.#recent = bucket;
    return bucket;
  }

  #forget(bucket: Bucket): void {
    this.#buckets.delete(bucket.priority);
    if (this.#recent === bucket) this.#recent = new Bucket(Number.NaN);
  }
}
