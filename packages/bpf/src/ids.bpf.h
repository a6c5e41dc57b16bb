// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * Which ids are lent, and what becomes of an id on its way to a file system. Addresses are passed as numbers: the functions
 * are verified once for all programs, and then the verifier takes nothing else.
 */
#pragma once
#include "kernel.bpf.h"

enum {
  MAX_INLINE_EXTENTS = 5,
  MAX_EXTENTS = 340,
  /* Halvings until nothing is left of so many extents. */
  MAX_HALVINGS = 9,
};

/* The kernel's id of nobody, also by its value. It is not transient, and nothing can be owned by it. */
#define UNMAPPED 0xffffffffull
/* No id: what becomes of it can't be found out. */
#define UNREADABLE (~0ull)


/* The ids that are lent to namespaces one after the other: single ones, and blocks of 65,536. */
enum { SINGLE_FIRST = 61184, SINGLE_LAST = 65519, BLOCKS_FIRST = 0x80000, BLOCKS_LAST = 0x6fffffff };

/* Whether any of `first` to `last` is lent. */
INLINE int has_transient(u64 first, u64 last) {
  return (first <= SINGLE_LAST && last >= SINGLE_FIRST) || (first <= BLOCKS_LAST && last >= BLOCKS_FIRST);
}

/* Whether an id must not get where it would: one that is lent, or not known. */
INLINE int is_refused(u64 id) {
  return id == UNREADABLE || has_transient(id, id);
}

enum direction { TO_INSIDE, TO_OUTSIDE };

/* The array that is sorted by the side that one comes from; zero if it can't be read. */
INLINE u64 extents_of(struct uid_gid_map *map, u32 count, u32 direction) {
  if (count <= MAX_INLINE_EXTENTS) return (u64)map + OFFSET_OF(struct uid_gid_map, extent);
  if (direction == TO_INSIDE) return (u64)READ(map, reverse);
  return (u64)READ(map, forward);
}

INLINE int read_extent(struct uid_gid_extent *to, u64 extents, u32 index) {
  return read_kernel(to, sizeof(*to), (void *)(extents + index * sizeof(*to)));
}

/* The other side of an id, through a map that has it, or not. */
SUBPROGRAM u64 translate(u64 map_address, u32 id, u32 direction) {
  struct uid_gid_map *map = (void *)map_address;
  u32 count;
  if (READ_TO(count, map, nr_extents) || count > MAX_EXTENTS) return UNREADABLE;
  u64 extents = extents_of(map, count, direction);
  if (!extents) return UNREADABLE;
  u32 low = 0, high = count;
  for (u32 round = 0; round < MAX_HALVINGS && low < high; round++) {
    /* The few in the struct are not sorted: one after the other. */
    u32 middle = count <= MAX_INLINE_EXTENTS ? low : low + (high - low) / 2;
    struct uid_gid_extent extent;
    if (read_extent(&extent, extents, middle)) return UNREADABLE;
    u32 from = direction == TO_INSIDE ? extent.lower_first : extent.first;
    u32 to = direction == TO_INSIDE ? extent.first : extent.lower_first;
    if (id >= from && id - from < extent.count) return (u32)(to + (id - from));
    if (id < from && count > MAX_INLINE_EXTENTS) high = middle;
    else low = middle + 1;
  }
  return low < high ? UNREADABLE : UNMAPPED;
}

/* Where a mount's map of user or group ids is, zero if ids get through it as they are. */
SUBPROGRAM u64 map_of_mount(u64 mount_address, u32 of_groups) {
  struct vfsmount *mount = (void *)mount_address;
  struct user_namespace *owner = 0;
  if (FIELD_EXISTS(mount->mnt_idmap)) {
    struct mnt_idmap *idmap = READ(mount, mnt_idmap);
    if (!idmap) return 0;
    if (FIELD_EXISTS(idmap->uid_map)) {
      u64 map = (u64)idmap;
      if (of_groups) map += OFFSET_OF(struct mnt_idmap, gid_map);
      else map += OFFSET_OF(struct mnt_idmap, uid_map);
      /* That of a mount which is not mapped is empty. */
      return READ((struct uid_gid_map *)map, nr_extents) ? map : 0;
    }
    if (FIELD_EXISTS(idmap->owner)) owner = READ(idmap, owner);
  } else if (FIELD_EXISTS(mount->mnt_userns)) {
    owner = READ(mount, mnt_userns);
  }
  /* A mount which is not mapped has the first namespace's, or that of its file system. */
  if (!owner || !READ(owner, parent)) return 0;
  struct super_block *super = READ(mount, mnt_sb);
  if (owner == READ(super, s_user_ns)) return 0;
  if (of_groups) return (u64)owner + OFFSET_OF(struct user_namespace, gid_map);
  return (u64)owner + OFFSET_OF(struct user_namespace, uid_map);
}

/* Whom the kernel makes the owner of what the user or group `id` creates on a mount. */
SUBPROGRAM u64 owner_on(u64 mount_address, u32 id, u32 of_groups) {
  u64 map = map_of_mount(mount_address, of_groups);
  if (!map) return id;
  u64 mapped = translate(map, id, TO_INSIDE);
  if (mapped >= UNMAPPED) return mapped;
  struct vfsmount *mount = (void *)mount_address;
  struct super_block *super = READ(mount, mnt_sb);
  struct user_namespace *namespace = READ(super, s_user_ns);
  if (!namespace) return UNREADABLE;
  if (!READ(namespace, parent)) return mapped;
  u64 own = (u64)namespace;
  if (of_groups) own += OFFSET_OF(struct user_namespace, gid_map);
  else own += OFFSET_OF(struct user_namespace, uid_map);
  return translate(own, mapped, TO_OUTSIDE);
}

/* Whether someone could become an owner by a mount's map who is lent, or not known. */
SUBPROGRAM int lets_transient_through(u64 mount_address, u32 of_groups) {
  u64 address = map_of_mount(mount_address, of_groups);
  if (!address) return 1;
  struct uid_gid_map *map = (void *)address;
  u32 count;
  if (READ_TO(count, map, nr_extents) || count > MAX_EXTENTS) return 1;
  u64 extents = extents_of(map, count, TO_INSIDE);
  if (!extents) return 1;
  for (u32 index = 0; index < MAX_EXTENTS && index < count; index++) {
    struct uid_gid_extent extent;
    if (read_extent(&extent, extents, index)) return 1;
    u64 first = extent.first;
    if (extent.count && has_transient(first, first + extent.count - 1)) return 1;
  }
  return 0;
}
