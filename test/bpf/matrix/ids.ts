/** Lines of an id map: the first id inside, the first outside, how many. On a mount inside is the disk. user_namespaces(7). */
export type IdMap = readonly (readonly [inside: number, outside: number, count: number])[];

/** Ids that are lent: those of one user each, and those of ranges. */
const TRANSIENT = [
  [61184, 65519],
  [0x80000, 0x6fffffff],
] as const;

export function isTransient(id: number | undefined): boolean {
  return id !== undefined && TRANSIENT.some(([first, last]) => id >= first && id <= last);
}

/** Whether an extent of ids has lent ones among them. */
export function hasTransient(first: number, count: number): boolean {
  return TRANSIENT.some(([from, to]) => first <= to && first + count > from);
}

/** An id of the outside as the inside has it; undefined if it has none. */
export function inward(map: IdMap, id: number): number | undefined {
  return translate(
    map.map(([inside, outside, count]) => [outside, inside, count]),
    id,
  );
}

/** An id of the inside as the outside has it; undefined if it has none. */
export function outward(map: IdMap, id: number): number | undefined {
  return translate(map, id);
}

function translate(map: IdMap, id: number): number | undefined {
  const extent = map.find(([from, , count]) => id >= from && id < from + count);
  return extent && id - extent[0] + extent[1];
}
