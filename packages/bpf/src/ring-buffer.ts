import type { EventLoop, IoEvent, SourceOptions } from '@sdrx/event';
import {
  checkInstance,
  checkMethods,
  duplicate,
  EINVAL,
  EIO,
  type Fd,
  MemoryMapping,
  PAGE_SIZE,
  PROT_READ,
  PROT_WRITE,
  SystemError,
} from '@sdrx/linux';
import { mergeMap, type Observable } from 'rxjs';
import { BPF_MAP_TYPE_RINGBUF, BpfMap } from './bpf-map.js';

/** Bits of a record's header: its writer is not done yet; it is to be skipped. The others are its length. */
const BUSY = 1 << 31;
const DISCARD = 1 << 30;
const LENGTH = DISCARD - 1;
const HEADER_SIZE = 8;

/** Records that were looked at, in order, each a view of the ring. */
export interface PeekedRecords {
  /** Good until `consume`. */
  readonly records: readonly Buffer[];
  /** Gives their space back to the kernel. */
  consume(): void;
}

/**
 * Reads a ring buffer (BPF_MAP_TYPE_RINGBUF), to which programs in the kernel write records of any length, in order. Its
 * memory is shared with the kernel: a record costs no system call and is not copied. There must be one reader only.
 * Documentation/bpf/ringbuf.rst.
 */
export class RingBuffer implements Disposable {
  readonly #fd: Fd;
  readonly #size: number;
  readonly #consumer: MemoryMapping;
  readonly #producer: MemoryMapping;
  readonly #consumed: BigUint64Array;
  readonly #produced: BigUint64Array;
  readonly #headers: Uint32Array;

  /** Reads `map`, which stays the caller's. @throws EINVAL for a map that is none, EPERM for one that is read-only */
  constructor(map: BpfMap) {
    checkInstance('map', map, BpfMap);
    if (map.type !== BPF_MAP_TYPE_RINGBUF) throw new SystemError(EINVAL, 'ring_buffer', map.name);
    this.#size = map.maxEntries;
    using fd = duplicate(map.fd);
    this.#consumer = new MemoryMapping(fd.number, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, 'ring buffer');
    try {
      // The kernel maps the data twice, one after the other, so that a record at the end of the ring is in one piece.
      this.#producer = new MemoryMapping(fd.number, PAGE_SIZE, PAGE_SIZE + 2 * this.#size, PROT_READ, 'ring buffer');
    } catch (error) {
      this.#consumer[Symbol.dispose]();
      throw error;
    }
    this.#consumed = new BigUint64Array(this.#consumer.bytes, 0, 1);
    this.#produced = new BigUint64Array(this.#producer.bytes, 0, 1);
    this.#headers = new Uint32Array(this.#producer.bytes, PAGE_SIZE);
    this.#fd = duplicate(fd.number);
  }

  /**
   * The records, as they come. Each is a view of the ring: it begins at a multiple of 8 bytes, and holds until the observer
   * returns; what is to last longer must be copied. The kernel gets its space when the observer has returned or thrown.
   *
   * Nobody can see here that the kernel found no room for a record: programs must count that. Fails with EIO for a ring
   * that makes no sense; what was in it is skipped. Whoever disposes of the RingBuffer unsubscribes before.
   */
  records(loop: EventLoop, options?: SourceOptions): Observable<Buffer> {
    checkMethods('loop', loop, 'an EventLoop', 'io');
    return this.ready(loop, options).pipe(mergeMap(() => this.read()));
  }

  /** Comes as long as there are records, for a reader who takes them by `read` or `peek`. */
  ready(loop: EventLoop, options?: SourceOptions): Observable<IoEvent> {
    checkMethods('loop', loop, 'an EventLoop', 'io');
    return loop.io(this.#fd.number, options);
  }

  /**
   * The records that are there now, for a reader who does not wait. The space of one is given back when the next one is
   * asked for, or there is no next one.
   */
  *read(): Generator<Buffer, void, undefined> {
    for (const { record, end } of this.#scan()) {
      try {
        if (record !== undefined) yield record;
      } finally {
        this.#consume(end);
      }
    }
  }

  /** The records that are there now, for a reader who gives back their space all at once, when they are dealt with. */
  peek(): PeekedRecords {
    const found = [...this.#scan()];
    const last = found.at(-1);
    return {
      records: found.flatMap(({ record }) => record ?? []),
      consume: () => {
        if (last !== undefined) this.#consume(last.end);
      },
    };
  }

  /** Gives back what it holds. Records that someone kept are zero from now on. */
  [Symbol.dispose](): void {
    this.#fd.close();
    this.#consumer[Symbol.dispose]();
    this.#producer[Symbol.dispose]();
  }

  /** What is there, with the position that follows it; without a record where one was given up by its writer. */
  *#scan(): Generator<{ readonly record: Buffer | undefined; readonly end: number }, void, undefined> {
    if (this.#fd.number === -1) return;
    // Later ones in the next turn of the loop: others want theirs.
    const produced = Number(Atomics.load(this.#produced, 0));
    for (let at = Number(Atomics.load(this.#consumed, 0)); at < produced; ) {
      const offset = at % this.#size;
      const header = Atomics.load(this.#headers, offset / 4);
      if ((header & BUSY) !== 0) return;
      const length = header & LENGTH;
      const end = at + Math.ceil((HEADER_SIZE + length) / 8) * 8;
      if (end > produced) {
        this.#consume(produced);
        throw new SystemError(EIO, 'ring_buffer', `record of ${length} bytes at ${at}, but the end is at ${produced}`);
      }
      const discarded = (header & DISCARD) !== 0;
      const start = PAGE_SIZE + offset + HEADER_SIZE;
      yield { record: discarded ? undefined : Buffer.from(this.#producer.bytes, start, length), end };
      at = end;
    }
  }

  #consume(position: number): void {
    if (this.#fd.number !== -1) Atomics.store(this.#consumed, 0, BigInt(position));
  }
}
