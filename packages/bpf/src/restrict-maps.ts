import { existsSync } from 'node:fs';
import { BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_HASH_OF_MAPS, BPF_MAP_TYPE_RINGBUF, BpfMap } from './bpf-map.js';

/** Where programs and maps are pinned; systemd-nsresourced has the same place, and the same names. */
export const DIRECTORY = '/sys/fs/bpf/systemd/userns-restrict';

/** The names of the program's maps: the lists of mounts, the ring buffer, and what found no room in that. */
export const NAMESPACES = 'userns_mnt_id_hash';
export const RING = 'userns_ringbuf';
export const OVERFLOW = 'userns_overflow';

/** What a map must be like. */
export type MapShape = Pick<BpfMap, 'type' | 'keySize' | 'valueSize'>;

/** All that there are. */
export const MAPS: Readonly<Record<string, MapShape>> = {
  [NAMESPACES]: { type: BPF_MAP_TYPE_HASH_OF_MAPS, keySize: 4, valueSize: 4 },
  [RING]: { type: BPF_MAP_TYPE_RINGBUF, keySize: 0, valueSize: 0 },
  [OVERFLOW]: { type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4 },
};

/** Where everything is pinned if what somebody else pinned in `directory` is of no use. */
export function ownPlace(directory: string): string {
  return `${directory}/sdrx`;
}

/** Where in `directory` our maps are pinned, or would be. */
export function usedPlace(directory: string): string {
  const own = ownPlace(directory);
  return existsSync(`${own}/maps/${NAMESPACES}`) ? own : directory;
}

/** Opens one of the maps that are pinned in `place`. Throws ENOENT, EACCES. */
export function openMap(place: string, name: string): BpfMap {
  return BpfMap.openPinned(`${place}/maps/${name}`);
}

/** One list of mounts; the kernel takes it as a value of the map of lists whatever its size. */
export function mountList(maxEntries: number): BpfMap {
  return BpfMap.create({ type: BPF_MAP_TYPE_HASH, keySize: 4, valueSize: 4, maxEntries, name: 'userns_mounts' });
}
