// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* What a release left that judged by mounts: other maps, and deaths that it told of. */
#include "refusing.bpf.h"

struct {
  NUMBER(type, HASH_OF_MAPS);
  NUMBER(max_entries, 16384);
  TYPE(key, u32);
  ARRAY(values, struct {
    NUMBER(type, HASH);
    NUMBER(max_entries, 4096);
    TYPE(key, int);
    TYPE(value, u32);
  });
} userns_mnt_id_hash SEC(".maps");

struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, 16384);
  TYPE(key, u32);
  TYPE(value, u32);
} userns_overflow SEC(".maps");

REFUSE(path_chown, path_chown, userns_mnt_id_hash)
REFUSE(path_mkdir, path_mkdir, userns_mnt_id_hash)
REFUSE(path_mknod, path_mknod, userns_mnt_id_hash)
REFUSE(path_symlink, path_symlink, userns_mnt_id_hash)
REFUSE(path_link, path_link, userns_mnt_id_hash)

SEC("fentry/retire_userns_sysctls") int retire_userns_sysctls(u64 *arguments) {
  struct user_namespace *dead = (void *)arguments[0];
  u32 inode = dead->ns.inum;
  if (map_lookup(&userns_mnt_id_hash, &inode)) ringbuf_output(&userns_ringbuf, &inode, sizeof(inode), 0);
  return 0;
}

LICENSE("Dual MIT/GPL");
