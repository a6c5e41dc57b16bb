import { type FileSystem, initial, type Mount, type UserNamespace } from './facts.js';
import type { IdMap } from './ids.js';
import { FOREIGN, inner, landlord, lent, lodger, mixed, RANGES } from './users.js';

const SIZE = 65_536;

/** Each range in `pieces` extents, which go to the disk where `place` says. More than five the kernel keeps in another way. */
function idmap(pieces: number, place: (range: number) => number): IdMap {
  const size = SIZE / pieces;
  return [RANGES.lent, RANGES.sibling, RANGES.mixed, FOREIGN].flatMap((start, range) =>
    Array.from({ length: pieces }, (_, piece) => [place(range) + piece * size, start + piece * size, size] as const),
  );
}

/** Ids that nobody is lent. */
const away = (range: number) => range * SIZE;
/** Others that are lent. */
const kept = (range: number) => 0x2000_0000 + range * SIZE;

const both = (map: IdMap) => ({ idmap: { uids: map, gids: map } });

function foreign(name: string, fileSystem: FileSystem, more: Partial<Mount> = {}): Mount {
  return { name, fileSystem, superblock: initial, ...more };
}

function own(maker: UserNamespace, name: string, fileSystem: FileSystem): Mount {
  return { name, fileSystem, superblock: maker, maker };
}

/** The outside's own, which all mount namespaces have that are made later. */
export const FOREIGN_MOUNTS: readonly Mount[] = [
  foreign('disk', 'ext4'),
  foreign('tmpfs', 'tmpfs'),
  foreign('fuse', 'fuse'),
  foreign('overlay', 'overlay'),
];

export const IDMAPPED_MOUNTS: readonly Mount[] = [
  foreign('away', 'ext4', both(idmap(1, away))),
  foreign('away-many', 'ext4', both(idmap(2, away))),
  foreign('kept', 'ext4', both(idmap(1, kept))),
  foreign('kept-many', 'ext4', both(idmap(2, kept))),
  foreign('users-away', 'ext4', { idmap: { uids: idmap(1, away), gids: idmap(1, kept) } }),
  foreign('groups-away', 'ext4', { idmap: { uids: idmap(1, kept), gids: idmap(1, away) } }),
  // The one user whom it has is none of those who try.
  foreign('unmapped', 'ext4', both([[0, 0, 1]])),
];

/** The delegated control group of a container, which is to make others below. */
export const CONTROL_GROUP: Mount = foreign('cgroup', 'cgroup');

/** Nothing is tried on them but by the overlays that write to them. */
const UPPER_MOUNTS: readonly Mount[] = [
  foreign('upper-disk', 'ext4'),
  foreign('upper-away', 'ext4', both(idmap(1, away))),
];

/** Mounted inside before the namespace was registered, when nobody had a reason to refuse it. */
export const EARLY_OVERLAYS: readonly Mount[] = UPPER_MOUNTS.map((upper) => ({
  ...own(lent, upper.name.replace('upper', 'early'), 'overlay'),
  upper,
}));

/** Made inside. */
export const OWN_MOUNTS: readonly Mount[] = [
  { ...own(lent, 'own-bind', 'ext4'), superblock: initial },
  own(lent, 'own-tmpfs', 'tmpfs'),
  own(lent, 'own-fuse', 'fuse'),
  own(lent, 'own-overlay', 'overlay'),
];

export const MIXED_TMPFS = own(mixed, 'mixed-tmpfs', 'tmpfs');
export const INNER_TMPFS = own(inner, 'inner-tmpfs', 'tmpfs');
export const LANDLORD_TMPFS = own(landlord, 'landlord-tmpfs', 'tmpfs');
export const LODGER_TMPFS = own(lodger, 'lodger-tmpfs', 'tmpfs');

export const MOUNTS: readonly Mount[] = [
  ...[...FOREIGN_MOUNTS, ...IDMAPPED_MOUNTS, ...UPPER_MOUNTS, CONTROL_GROUP, ...OWN_MOUNTS, ...EARLY_OVERLAYS],
  ...[MIXED_TMPFS, INNER_TMPFS, LANDLORD_TMPFS, LODGER_TMPFS],
];
