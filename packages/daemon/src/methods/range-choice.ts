import { namespaceId, type PeerCredentials } from '@sdrx/linux';
import { CONTAINER_SIZE } from '../namespace/uid-range.js';
import type { IdRange, NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import type { AllocatedEntry } from '../user/user-record.js';
import type { IdSource } from './id-source.js';
import { type IdMaps, mapsOf } from './maps-of.js';
import type { NameAnswers } from './name-answers.js';
import { RangeSearch, type RangeWish } from './range-search.js';
import type { RequestedRange } from './requested-range.js';

/** What a namespace gets. */
export interface Allocation {
  readonly entry: AllocatedEntry;
  readonly maps: IdMaps;
}

/** Chooses the ids of one namespace; the same ones again while the registry stays as it is. */
export class RangeChoice {
  readonly #requested: RequestedRange;
  readonly #source: IdSource;
  readonly #own: IdRange | undefined;
  readonly #search: RangeSearch;

  /** @param peer who asks. Throws ESRCH, as `io.systemd.System`, where the ids of the peer shall be used and are not there */
  constructor(requested: RequestedRange, peer: PeerCredentials, source: IdSource, answers: NameAnswers) {
    this.#requested = requested;
    this.#source = source;
    this.#own = requested.isSelf ? ownRange(requested.target, peer, source) : undefined;
    this.#search = new RangeSearch(source, answers);
  }

  /** The inodes of the namespaces that had ids which would have done. */
  get obstacles(): Iterable<number> {
    return this.#search.obstacles;
  }

  /**
   * What the namespace `fd` would get, as the registry is now.
   * Throws DynamicRangeUnavailable, NoDynamicRange, ERANGE and ESRCH as `mapsOf`, and as `NameAnswers.isTaken`.
   */
  choose(namespace: Pick<NamespaceEntry, 'owner' | 'name' | 'userns'>, fd: number, registry: Registry): Allocation {
    const { size, target = 0, delegates: count, mapForeign } = this.#requested;
    const wishes: RangeWish[] = this.#own === undefined ? [[size, namespace.name]] : [];
    for (let delegate = 0; delegate < count; delegate++) wishes.push([CONTAINER_SIZE]);
    const starts = this.#search.find(wishes, registry);
    const range = this.#own ?? { start: starts.shift() ?? 0, size, target };
    const { userns } = namespace;
    const delegates = starts.map((start) => ({ userns, start, startGid: start, size: CONTAINER_SIZE }));
    // What systemd before 260 could not read anyway has all that later ones write.
    const id = this.#own !== undefined || delegates.length > 0 ? namespaceId(fd) : undefined;
    const entry = {
      ...namespace,
      ...(id === undefined ? {} : { usernsId: id }),
      range,
      ...(this.#own === undefined ? {} : { setgroupsDeny: true }),
      cgroups: [],
      ...(delegates.length === 0 ? {} : { delegates }),
    };
    return { entry, maps: mapsOf(entry, this.#source, mapForeign) };
  }
}

/** The id of who asks, without a target as it is numbered above. */
function ownRange(target: number | undefined, { uid, gid }: PeerCredentials, source: IdSource): IdRange {
  return {
    size: 1,
    start: uid,
    startGid: gid,
    target: target ?? source.inside('uid_map', uid),
    targetGid: target ?? source.inside('gid_map', gid),
  };
}
