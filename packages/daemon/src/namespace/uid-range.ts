import type { IdRun } from '@sdrx/linux';
import { siphash24 } from './siphash24.js';

/** The sizes that a range may have: a whole container's ids, or a single one. */
export const SIZES = [1, 65_536] as const;
export type Size = (typeof SIZES)[number];

/** The size of a container's range. */
export const CONTAINER_SIZE = 65_536;

/** The first of the ids, as many as of a container, that stand for owners in the files of images. https://systemd.io/UIDS-GIDS */
export const FOREIGN_FIRST = 0x7ffe_0000;

const HASH_KEY = Buffer.from('d4d733a74dd342cdaae945d0fbec79ee', 'hex');

// The ids set aside for containers and for dynamic users: https://systemd.io/UIDS-GIDS
const CONTAINER = { first: 0x8_0000, end: 0x6fff_0000, last: 0x6fff_ffff, mask: 0xffff_0000 };
const DYNAMIC = { first: 61_184, end: 65_520, last: 65_519 };

/** Whether a range may have this size. */
export function isSize(size: number): size is Size {
  return (SIZES as readonly number[]).includes(size);
}

/** What the index of a name's first block is made of, so that it usually gets the same ids again: 64 bits. */
export function rangeHash(name: string): bigint {
  // The ending NUL is part of what is hashed.
  return siphash24(HASH_KEY, Buffer.from(`${name}\0`));
}

/** Ids to be given away together: blocks of one size, in order, without those that were removed. */
export class IdBlocks {
  readonly #size: Size;
  /** Where blocks follow each other: the first id of the first one, and how many they are. */
  readonly #runs: readonly { readonly first: number; readonly count: number }[];
  /** The indexes that were removed, of all blocks that there were, in order. */
  readonly #removed: number[] = [];

  /**
   * @param ids all that may be given away, of which those count that systemd sets aside for this size. Large blocks begin at multiples of
   * their size, as an id's user is found by that; what is left beside them is not used
   */
  constructor(ids: readonly IdRun[], size: Size) {
    this.#size = size;
    const { first, end } = size === 1 ? DYNAMIC : CONTAINER;
    this.#runs = ids.flatMap((run) => {
      const begin = Math.ceil(Math.max(run.first, first) / size) * size;
      const count = Math.floor((Math.min(run.first + run.count, end) - begin) / size);
      return count > 0 ? [{ first: begin, count }] : [];
    });
  }

  /** How many are left. */
  get length(): number {
    return this.#runs.reduce((sum, { count }) => sum + count, -this.#removed.length);
  }

  /** The first id of one of those that are left. */
  at(index: number): number {
    let rest = index;
    for (const removed of this.#removed) if (removed <= rest) rest++;
    for (const { first, count } of this.#runs) {
      if (rest < count) return first + rest * this.#size;
      rest -= count;
    }
    throw new RangeError(`there is no block ${index}`);
  }

  /** Removes the block with this first id; harmless if there is none. */
  remove(start: number): void {
    let before = 0;
    for (const { first, count } of this.#runs) {
      const index = (start - first) / this.#size;
      if (Number.isInteger(index) && index >= 0 && index < count) this.#removeIndex(before + index);
      before += count;
    }
  }

  /** The first ids of those that are left, from any one on. */
  *fromAnywhere(): Generator<number, void> {
    const begin = Math.floor(Math.random() * this.length);
    for (let step = 0; step < this.length; step++) yield this.at((begin + step) % this.length);
  }

  #removeIndex(index: number): void {
    const place = this.#removed.findIndex((removed) => removed >= index);
    if (place === -1) this.#removed.push(index);
    else if (this.#removed[place] !== index) this.#removed.splice(place, 0, index);
  }
}

/** Whether this id is one of those that are given away, and so one that nobody else has. */
export function isTransient(id: number): boolean {
  return firstIdOf(id) !== undefined;
}

/** The first id of the range that a uid or gid would be in; undefined if we never give this id to anybody. */
export function firstIdOf(id: number): number | undefined {
  if (id >= CONTAINER.first && id <= CONTAINER.last) return id & CONTAINER.mask;
  if (id >= DYNAMIC.first && id <= DYNAMIC.last) return id;
  return undefined;
}
