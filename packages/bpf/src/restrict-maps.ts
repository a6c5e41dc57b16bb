import { existsSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_RINGBUF, BpfMap } from './bpf-map.js';

/** Where programs and maps are pinned; systemd-nsresourced has had the same place, and the same names, since 262. */
export const DIRECTORY = '/sys/fs/bpf/systemd/userns-restrict-v2';

/** Where systemd-nsresourced before 262 and our own older releases pinned programs that judge by mounts. */
export const FORMER_DIRECTORY = '/sys/fs/bpf/systemd/userns-restrict';

/** The names of the program's maps: what is registered, where setgroups(2) is denied, deaths, and deaths beyond that. */
export const MANAGED = 'userns_managed';
export const SETGROUPS_DENY = 'userns_setgroups_deny';
export const RING = 'userns_ringbuf';
export const OVERFLOW = 'userns_overflow';

/** What a map must be like. */
export type MapShape = Pick<BpfMap, 'type' | 'keySize' | 'valueSize'>;

const HASH: MapShape = { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4 };

/** Those that systemd-nsresourced has, too. */
export const SHARED_MAPS: Readonly<Record<string, MapShape>> = {
  [MANAGED]: HASH,
  [SETGROUPS_DENY]: HASH,
  [RING]: { type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0 },
};

/** Those that are ours alone. */
export const OWN_MAPS: Readonly<Record<string, MapShape>> = { [OVERFLOW]: HASH };

/** Where things are pinned. */
export interface Place {
  /** What is shared with systemd-nsresourced; ours, too, if what that has pinned is of no use. */
  readonly shared: string;
  /** What it must not come upon. */
  readonly own: string;
}

/** Where everything is pinned if what somebody else pinned in `directory` is of no use. */
export function ownPlace(directory: string): Place {
  const own = `${directory}-sdrx`;
  return { shared: own, own };
}

/** Where our maps are pinned, or would be, if those in `directory` are to be shared. */
export function usedPlace(directory: string): Place {
  const place = ownPlace(directory);
  return existsSync(`${place.own}/maps/${MANAGED}`) ? place : { ...place, shared: directory };
}

/** Opens one of the maps that are pinned in `folder`. @throws ENOENT, EACCES */
export function openMap(folder: string, name: string): BpfMap {
  return BpfMap.openPinned(`${folder}/maps/${name}`);
}
