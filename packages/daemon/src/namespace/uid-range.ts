import { siphash24 } from './siphash24.js';

/** The sizes that a range may have: a whole container's ids, or a single one. */
export const SIZES = [1, 65_536] as const;
export type Size = (typeof SIZES)[number];

/** How many places a name has that are tried before all others. */
export const TRIES = 100;

const HASH_KEY = Buffer.from('d4d733a74dd342cdaae945d0fbec79ee', 'hex');

// The ids set aside for containers and for dynamic users: https://systemd.io/UIDS-GIDS
const CONTAINER = { first: 0x8_0000, lastStart: 0x6fff_0000, last: 0x6fff_ffff, mask: 0xffff_0000 };
const DYNAMIC = { first: 61_184, last: 65_519 };

/** The ids from which ranges of this size are taken, the last one included. */
export function dynamicIds(size: Size): { readonly first: number; readonly last: number } {
  return size === 1 ? DYNAMIC : CONTAINER;
}

/** Whether a range may have this size. */
export function isSize(size: number): size is Size {
  return (SIZES as readonly number[]).includes(size);
}

/**
 * The places to try for a namespace's range, best first, `TRIES` of them, possibly with repetitions: first the one that
 * its name hashes to, so that a name usually gets the same ids again; then random ones.
 */
export function* candidates(name: string, size: Size): Generator<number, void> {
  // The ending NUL is part of what is hashed.
  yield place(Number(siphash24(HASH_KEY, Buffer.from(`${name}\0`)) & 0xffff_ffffn), size);
  for (let tried = 1; tried < TRIES; tried++) yield place(Math.floor(Math.random() * 0x1_0000_0000), size);
}

/** All places that a range of this size may have, each once, from a random one on. */
export function* places(size: Size): Generator<number, void> {
  const [first, end] = size === 1 ? [DYNAMIC.first, DYNAMIC.last + 1] : [CONTAINER.first, CONTAINER.lastStart];
  const count = (end - first) / size;
  const begin = Math.floor(Math.random() * count);
  for (let index = 0; index < count; index++) yield first + ((begin + index) % count) * size;
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

/** Maps 32 random bits to the start of a range. Neither end of the container ids needs the sign bit that `&` would set. */
function place(random: number, size: Size): number {
  if (size === 1) return (random % (DYNAMIC.last - DYNAMIC.first)) + DYNAMIC.first;
  return ((random % (CONTAINER.lastStart - CONTAINER.first)) + CONTAINER.first) & CONTAINER.mask;
}
