import { Heap, type HeapEntry } from './heap.js';

/** What can stand in the queue. The links are the queue's own. */
export interface Pending {
  readonly priority: number;
  bucket: Bucket | undefined;
  previous: Pending | undefined;
  next: Pending | undefined;
}

/** All that is pending with one priority, in the order in which it became so. */
class Bucket {
  head: Pending | undefined;
  tail: Pending | undefined;
  entry: HeapEntry<Bucket> | undefined;

  constructor(readonly priority: number) {}
}

/**
 * The order of dispatch: by priority (lower first), within a priority by when a source became pending. Adding and
 * removing take constant time while the number of priorities in use is small, and its logarithm beyond that.
 */
export class PendingQueue<P extends Pending> {
  readonly #buckets = new Map<number, Bucket>();
  readonly #nonEmpty = new Heap<Bucket>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  /** What is next; it stays in the queue. */
  first(): P | undefined {
    return this.#nonEmpty.first()?.item.head as P | undefined;
  }

  /** Appends; harmless when it already stands in the queue. */
  add(pending: P): void {
    if (pending.bucket !== undefined) return;
    const bucket = this.#bucket(pending.priority);
    pending.bucket = bucket;
    pending.previous = bucket.tail;
    if (bucket.tail === undefined) {
      bucket.head = pending;
      bucket.entry = this.#nonEmpty.add(bucket, bucket.priority);
    } else {
      bucket.tail.next = pending;
    }
    bucket.tail = pending;
    this.#size++;
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
    if (bucket.head === undefined && bucket.entry !== undefined) {
      this.#nonEmpty.remove(bucket.entry);
      this.#buckets.delete(bucket.priority);
    }
  }

  #bucket(priority: number): Bucket {
    let bucket = this.#buckets.get(priority);
    if (bucket === undefined) {
      bucket = new Bucket(priority);
      this.#buckets.set(priority, bucket);
    }
    return bucket;
  }
}
