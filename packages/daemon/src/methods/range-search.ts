import { mapCovers, mapOverlaps, readIdMap } from '@sdrx/linux';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { candidates, dynamicIds, places, type Size } from '../namespace/uid-range.js';
import type { Registry } from '../registry/registry.js';
import type { NameAnswers } from './name-answers.js';

const { DynamicRangeUnavailable, NoDynamicRange } = namespaceResource.errors;

/** Looks for a free range, in an order that stays the same however often it begins anew. */
export class RangeSearch {
  readonly #size: Size;
  readonly #answers: NameAnswers;
  readonly #candidates = new Map<string, readonly number[]>();
  /** All places, once none of the candidates was free. */
  #places: readonly number[] | undefined;

  constructor(size: Size, answers: NameAnswers) {
    this.#size = size;
    this.#answers = answers;
  }

  /** The first id of a free range. Throws DynamicRangeUnavailable, NoDynamicRange, and as `NameAnswers.isTaken`. */
  find(name: string, registry: Registry): number {
    const ownMap = readIdMap('uid_map');
    const { first, last } = dynamicIds(this.#size);
    if (!mapOverlaps(ownMap, first, last - first + 1)) throw DynamicRangeUnavailable();
    // The database is asked last, and for few: those that are free as far as we know.
    const isFree = (start: number) =>
      mapCovers(ownMap, start, this.#size) && registry.isRangeFree(start, this.#size) && !this.#answers.isTaken(start);
    const found = this.#candidatesOf(name).find(isFree) ?? this.#unregistered(registry).find(isFree);
    if (found === undefined) throw NoDynamicRange();
    return found;
  }

  #candidatesOf(name: string): readonly number[] {
    const known = this.#candidates.get(name) ?? [...candidates(name, this.#size)];
    this.#candidates.set(name, known);
    return known;
  }

  #unregistered(registry: Registry): readonly number[] {
    this.#places ??= [...places(this.#size)];
    return registry.unregistered(this.#places);
  }
}
