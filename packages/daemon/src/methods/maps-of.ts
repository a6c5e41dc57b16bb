import { ERANGE, type IdMapEntry, type IdMapKind } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { CONTAINER_SIZE, FOREIGN_FIRST, isTransient } from '../namespace/uid-range.js';
import { type Delegate, firstGid, firstTargetGid } from '../registry/namespace-entry.js';
import type { AllocatedEntry } from '../user/user-record.js';
import type { IdSource } from './id-source.js';

/** The two maps of a namespace. */
export type IdMaps = Readonly<Record<IdMapKind, readonly IdMapEntry[]>>;

/**
 * What is to be written into the maps of a namespace: its range, what it may give to namespaces within it, and the foreign ids if it
 * shall have these. The second column has the numbers of the namespace above.
 *
 * Transient ids, those to be given away and the foreign ones have the same number wherever they are. Where they have not above, the
 * namespace can't get them: throws ERANGE, and ESRCH where they are not there at all, as `io.systemd.System`.
 */
export function mapsOf({ range, delegates = [] }: AllocatedEntry, source: IdSource, mapForeign: boolean): IdMaps {
  const map = (kind: IdMapKind, target: number, start: number, startOf: (delegate: Delegate) => number) => {
    const outside = source.inside(kind, start);
    if (isTransient(start) && outside !== start) throw systemFailure(ERANGE);
    return [
      { inside: target, outside, count: range.size },
      ...delegates.map((delegate) => sameInside(source, kind, startOf(delegate), delegate.size)),
      ...(mapForeign ? [sameInside(source, kind, FOREIGN_FIRST, CONTAINER_SIZE)] : []),
    ];
  };
  return {
    uid_map: map('uid_map', range.target, range.start, ({ start }) => start),
    gid_map: map('gid_map', firstTargetGid(range), firstGid(range), ({ startGid }) => startGid),
  };
}

function sameInside(source: IdSource, kind: IdMapKind, first: number, count: number): IdMapEntry {
  if (source.inside(kind, first) !== first) throw systemFailure(ERANGE);
  return { inside: first, outside: first, count };
}
