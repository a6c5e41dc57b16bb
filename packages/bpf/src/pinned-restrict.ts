import { constants, openSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { ENOENT, Fd, isSystemError, namespaceInode, SystemError, statx, tryLockExclusive } from '@sdrx/linux';
import { mergeMap, NEVER, type Observable } from 'rxjs';
import { BpfError } from './bpf-error.js';
import { BpfMap } from './bpf-map.js';
import { readDeadNamespaces } from './dead-namespaces.js';
import { mountList, NAMESPACES, OVERFLOW, openMap, RING } from './restrict-maps.js';
import { RingBuffer } from './ring-buffer.js';
import type { UsernsRestrict } from './userns-restrict.js';

/** A list of mounts grows by this factor: most namespaces have few, and memory for all 4096 would be 300 kB. */
const GROWTH = 16;
const SMALLEST = 16;
const LARGEST = 4096;

/** Where the news of dead namespaces comes from. */
interface Deaths extends Disposable {
  readonly told: Observable<readonly number[]>;
}

/** userns-restrict by the maps of the program in the kernel, which are pinned in `place`. */
export class PinnedRestrict implements UsernsRestrict {
  readonly enforced = true;
  readonly dead: Observable<readonly number[]>;
  readonly #namespaces: BpfMap;
  readonly #deaths: Deaths | undefined;

  /** Opens the maps; with a `loop`, as the one process that is told of deaths. Throws ENOENT, and as `openDeaths`. */
  constructor(
    place: string,
    readonly hook: string | undefined,
    loop?: EventLoop,
  ) {
    this.#namespaces = openMap(place, NAMESPACES);
    try {
      this.#deaths = loop && openDeaths(place, loop);
    } catch (error) {
      this.#namespaces[Symbol.dispose]();
      throw error;
    }
    this.dead = this.#deaths?.told ?? NEVER;
  }

  put(usernsFd: number): void {
    using list = mountList(SMALLEST);
    this.#namespaces.set(number(namespaceInode(usernsFd)), number(list.fd));
  }

  allowMount(usernsFd: number, mountFd: number): void {
    const inode = namespaceInode(usernsFd);
    const mount = number(Number(statx(mountFd).mountId));
    using list = this.#list(inode);
    try {
      list.set(mount, number(1));
    } catch (error) {
      if (!isSystemError(error, 'E2BIG') || list.maxEntries >= LARGEST) throw error;
      using larger = mountList(list.maxEntries * GROWTH);
      for (const known of [...list.keys(), mount]) larger.set(known, number(1));
      this.#namespaces.set(number(inode), number(larger.fd), 'replace');
    }
  }

  forgetMounts(): void {
    for (const inode of [...this.#namespaces.keys()]) {
      using list = this.#list(inode.readUInt32LE());
      if ([...list.keys()].length === 0) continue;
      using empty = mountList(SMALLEST);
      this.#namespaces.set(inode, number(empty.fd), 'replace');
    }
  }

  reset(...inodes: readonly number[]): void {
    if (inodes.length > 0) this.#namespaces.deleteAll(inodes.map(number));
  }

  [Symbol.dispose](): void {
    this.#deaths?.[Symbol.dispose]();
    this.#namespaces[Symbol.dispose]();
  }

  #list(inode: number): BpfMap {
    const id = this.#namespaces.get(number(inode));
    if (id === undefined) throw new SystemError(ENOENT, 'allowMount', `user namespace ${inode}`);
    return BpfMap.byId(id.readUInt32LE());
  }
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** Throws BpfError with ERR_BPF_IN_USE while another process is told of deaths. */
function openDeaths(place: string, loop: EventLoop): Deaths {
  const owned: Disposable[] = [];
  const own = <T extends Disposable>(resource: T): T => {
    owned.unshift(resource);
    return resource;
  };
  const dispose = () => {
    for (const resource of owned) resource[Symbol.dispose]();
  };
  try {
    // Two readers would take records from each other.
    const folder = own(new Fd(openSync(`${place}/maps`, constants.O_RDONLY | constants.O_DIRECTORY)));
    if (!tryLockExclusive(folder.number))
      throw new BpfError('ERR_BPF_IN_USE', `another process is told of dead namespaces by ${place}/maps`);
    using ringMap = openMap(place, RING);
    const ring = own(new RingBuffer(ringMap));
    const overflow = own(openMap(place, OVERFLOW));
    const told = ring.ready(loop, { description: 'dead user namespaces' });
    return { told: told.pipe(mergeMap(() => readDeaths(ring, overflow))), [Symbol.dispose]: dispose };
  } catch (error) {
    dispose();
    throw error;
  }
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
  for (let keys = [...overflow.keys()]; keys.length > 0; keys = [...overflow.keys()]) {
    yield keys.map((key) => key.readUInt32LE());
    overflow.deleteAll(keys);
  }
  if (malformed !== undefined) throw malformed;
}
