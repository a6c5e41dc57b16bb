import { constants, fstatSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { duplicate, type Fd, isSystemError, openFile, tryLockExclusive } from '@sdrx/linux';
import { defer, from, merge, mergeMap, type Observable } from 'rxjs';
import { BpfError } from './bpf-error.js';
import type { BpfMap } from './bpf-map.js';
import { readDeadNamespaces } from './dead-namespaces.js';
import { OVERFLOW, openMap, type Place, RING } from './restrict-maps.js';
import { RingBuffer } from './ring-buffer.js';

/** The news of dead namespaces, of which one process is told. */
export class Deaths implements Disposable {
  readonly told: Observable<readonly number[]>;
  /** By which this process is the one that is told. */
  readonly reader: Fd;
  readonly #ring: RingBuffer;
  readonly #overflow: BpfMap;
  readonly #owned: Disposable[] = [];

  /**
   * @param former that of a process which this one takes over from, which stays the caller's
   * @throws BpfError with ERR_BPF_IN_USE while another process is told of deaths
   */
  constructor(place: Place, loop: EventLoop, former?: Fd) {
    const own = <T extends Disposable>(resource: T): T => {
      this.#owned.push(resource);
      return resource;
    };
    try {
      this.reader = own(lockReader(place.shared, former));
      const ring = own(openRing(place.shared));
      const overflow = own(openMap(place.own, OVERFLOW));
      this.#ring = ring;
      this.#overflow = overflow;
      // What an earlier process has put into `overflow` wakes nobody.
      this.told = merge(
        defer(() => from(overflowing(overflow))),
        ring.ready(loop, { description: 'dead user namespaces' }).pipe(mergeMap(() => readDeaths(ring, overflow))),
      );
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /** Has deaths told as well that others have noticed, but for those that are told anyway. */
  add(inodes: readonly number[]): void {
    const known = new Set(this.#ring.peek().records.flatMap(inodesOf));
    for (const inode of inodes) {
      if (known.has(inode)) continue;
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32LE(inode);
      this.#overflow.set(bytes, bytes);
    }
  }

  [Symbol.dispose](): void {
    for (const resource of this.#owned.splice(0).reverse()) resource[Symbol.dispose]();
  }
}

/**
 * Reads what former programs pinned in `folder` have told of, and nobody has read, and takes it out.
 * @throws BpfError with ERR_BPF_IN_USE while another process of ours reads it
 */
export function unreadDeaths(folder: string): number[] {
  try {
    using _lock = lockReader(folder);
    using ring = openRing(folder);
    return [...[...ring.read()].flatMap(inodesOf), ...overflowOf(folder)];
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Those of a record; none of a malformed one. */
function inodesOf(record: Uint8Array): number[] {
  return record.byteLength % 4 === 0 ? readDeadNamespaces(record) : [];
}

/** Of our own older releases only. */
function overflowOf(folder: string): number[] {
  try {
    using overflow = openMap(folder, OVERFLOW);
    return [...overflow.keys()].map((key) => key.readUInt32LE());
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return [];
    throw error;
  }
}

/**
 * Two readers would take records from each other. The lock goes with the open file: a process that is passed it has it, too. flock(2)
 */
function lockReader(folder: string, former?: Fd): Fd {
  const maps = openFile(`${folder}/maps`, constants.O_RDONLY | constants.O_DIRECTORY);
  if (former !== undefined && isSameFile(former, maps)) {
    maps.close();
    return duplicate(former.number);
  }
  if (tryLockExclusive(maps.number)) return maps;
  maps.close();
  throw new BpfError('ERR_BPF_IN_USE', `another process is told of dead namespaces by ${folder}/maps`);
}

function isSameFile(one: Fd, other: Fd): boolean {
  const [a, b] = [one, other].map(({ number }) => fstatSync(number, { bigint: true }));
  return a?.dev === b?.dev && a?.ino === b?.ino;
}

function openRing(folder: string): RingBuffer {
  using map = openMap(folder, RING);
  return new RingBuffer(map);
}

/**
 * Reads what there is. Only when the observer has returned is it taken out: if this process dies before, the next one
 * finds it again. Who finds the ring full writes into `overflow` and then wakes us, unless the ring is still full; so that
 * nothing is overlooked, `overflow` is read until it is empty after the ring was emptied.
 */
function* readDeaths(ring: RingBuffer, overflow: BpfMap): Generator<readonly number[]> {
  const { records, consume } = ring.peek();
  const inodes = new Set<number>();
  let malformed: unknown;
  for (const record of records) {
    try {
      for (const inode of readDeadNamespaces(record)) inodes.add(inode);
    } catch (error) {
      malformed ??= error;
    }
  }
  try {
    if (inodes.size > 0) yield [...inodes];
  } finally {
    consume();
  }
  yield* overflowing(overflow);
  if (malformed !== undefined) throw malformed;
}

/** Reads what found no room, until there is none. */
function* overflowing(overflow: BpfMap): Generator<readonly number[]> {
  for (let keys = [...overflow.keys()]; keys.length > 0; keys = [...overflow.keys()]) {
    yield keys.map((key) => key.readUInt32LE());
    overflow.deleteAll(keys);
  }
}
