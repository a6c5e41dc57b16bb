import { namespaceResource } from '../interfaces/namespace-resource.js';
import { IdBlocks, rangeHash, type Size } from '../namespace/uid-range.js';
import type { Registry } from '../registry/registry.js';
import type { IdSource } from './id-source.js';
import type { NameAnswers } from './name-answers.js';

const { DynamicRangeUnavailable, NoDynamicRange } = namespaceResource.errors;

/** How many blocks are tried for one range. */
export const TRIES = 99;

/** Beyond any index, as random as systemd's are. */
const RANDOM_END = 2 ** 32;

/** The ranges of one namespace, each named by its size and, if it shall be found again, by the namespace. */
export type RangeWish = readonly [size: Size, name?: string];

/** Looks for free ranges, in an order that stays the same however often it begins anew. */
export class RangeSearch {
  readonly #source: IdSource;
  readonly #answers: NameAnswers;
  /** What the tries of each wish after the first are made of. */
  readonly #random: number[][] = [];
  readonly #obstacles = new Set<number>();

  constructor(source: IdSource, answers: NameAnswers) {
    this.#source = source;
    this.#answers = answers;
  }

  /** The inodes of the namespaces that had blocks which were tried. */
  get obstacles(): ReadonlySet<number> {
    return this.#obstacles;
  }

  /**
   * The first ids of free ranges, one for each wish. Throws DynamicRangeUnavailable, NoDynamicRange, and as
   * `NameAnswers.isTaken`.
   */
  find(wishes: readonly RangeWish[], registry: Registry): number[] {
    const found: number[] = [];
    for (const [index, [size, name]] of wishes.entries()) {
      const blocks = new IdBlocks(this.#source.ids, size);
      for (const start of found) blocks.remove(start);
      if (blocks.length === 0) throw DynamicRangeUnavailable();
      const start = this.#try(blocks, size, this.#indexes(index, name), registry);
      if (start === undefined) throw NoDynamicRange();
      found.push(start);
    }
    return found;
  }

  #try(blocks: IdBlocks, size: Size, indexes: Iterable<bigint>, registry: Registry): number | undefined {
    for (const index of indexes) {
      if (blocks.length === 0) return undefined;
      const start = blocks.at(Number(index % BigInt(blocks.length)));
      if (this.#isFree(start, size, registry)) return start;
      blocks.remove(start);
    }
    // Of ours there are many, and a look at all files finds the free ones. Another namespace has few to give to those within it.
    if (!this.#source.isOurs) return undefined;
    return registry.unregistered(blocks.fromAnywhere()).find((start) => this.#isFree(start, size, registry));
  }

  #isFree(start: number, size: Size, registry: Registry): boolean {
    const { isOurs, holder: giver } = this.#source;
    const holders = registry.holdersOf(start, size, giver);
    for (const holder of holders) if (holder !== undefined) this.#obstacles.add(holder);
    // The user database is asked last, and for few. It knows nothing of the ids in other namespaces than ours.
    return holders.length === 0 && (!isOurs || !this.#answers.isTaken(start));
  }

  *#indexes(wish: number, name: string | undefined): Generator<bigint, void> {
    this.#random[wish] ??= [];
    const random = this.#random[wish];
    for (let index = 0; index < TRIES; index++) {
      if (index === 0 && name !== undefined) {
        yield rangeHash(name);
        continue;
      }
      const next = random[index] ?? randomIndex();
      random[index] = next;
      yield BigInt(next);
    }
  }
}

/** Loads what it needs when it is first called: Node takes several milliseconds to load it, and a name's first block usually is free. */
function randomIndex(): number {
  return process.getBuiltinModule('node:crypto').randomInt(RANDOM_END);
}
