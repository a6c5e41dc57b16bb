import type { EventLoop } from '@sdrx/event';
import { type Fd, namespaceInode } from '@sdrx/linux';
import { NEVER, type Observable } from 'rxjs';
import type { BpfMap } from './bpf-map.js';
import { Deaths } from './deaths.js';
import { MANAGED, openMap, type Place, SETGROUPS_DENY } from './restrict-maps.js';
import type { UsernsRestrict } from './userns-restrict.js';

/** userns-restrict by the maps of the program in the kernel, which are pinned in `place`. */
export class PinnedRestrict implements UsernsRestrict {
  readonly enforced = true;
  readonly dead: Observable<readonly number[]>;
  readonly #managed: BpfMap;
  readonly #setgroupsDeny: BpfMap;
  readonly #deaths: Deaths | undefined;
  readonly #owned: Disposable[] = [];

  /** Opens the maps; with a `loop`, as the one process that is told of deaths. @throws ENOENT, and as `Deaths` */
  constructor(place: Place, loop?: EventLoop, formerReader?: Fd) {
    const own = <T extends Disposable>(resource: T): T => {
      this.#owned.push(resource);
      return resource;
    };
    try {
      this.#managed = own(openMap(place.shared, MANAGED));
      this.#setgroupsDeny = own(openMap(place.shared, SETGROUPS_DENY));
      this.#deaths = loop && own(new Deaths(place, loop, formerReader));
      this.dead = this.#deaths?.told ?? NEVER;
    } catch (error) {
      // Not by `[Symbol.dispose]`: a subclass has nothing to dispose of yet.
      this.#release();
      throw error;
    }
  }

  /** Only who has attached the programs knows. */
  get hook(): string | undefined {
    return undefined;
  }

  put(usernsFd: number): void {
    this.putInode(namespaceInode(usernsFd));
  }

  putInode(inode: number): void {
    this.#managed.set(number(inode), PRESENT);
  }

  denySetgroups(inode: number): void {
    this.#setgroupsDeny.set(number(inode), PRESENT);
  }

  reset(...inodes: readonly number[]): void {
    if (inodes.length === 0) return;
    this.#managed.deleteAll(inodes.map(number));
    // In this one are few: to remove what is not there takes a system call each.
    const wanted = new Set(inodes);
    this.#setgroupsDeny.deleteAll([...this.#setgroupsDeny.keys()].filter((key) => wanted.has(key.readUInt32LE())));
  }

  inodes(): number[] {
    const keys = [this.#managed, this.#setgroupsDeny].flatMap((map) => [...map.keys()]);
    return [...new Set(keys.map((key) => key.readUInt32LE()))];
  }

  /** By which this process is the one that is told of deaths. */
  protected get deathsReader(): Fd | undefined {
    return this.#deaths?.reader;
  }

  /** Has these told as well. */
  protected addDeaths(inodes: readonly number[]): void {
    this.#deaths?.add(inodes);
  }

  [Symbol.dispose](): void {
    this.#release();
  }

  #release(): void {
    for (const resource of this.#owned.splice(0).reverse()) resource[Symbol.dispose]();
  }
}

/** What a key's value is, whatever the namespace. */
const PRESENT = number(1);

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}
