// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Programs by the names of userns-restrict's, on its maps. */
#include "refusing.bpf.h"

#define MAP                                                                                                            \
  {                                                                                                                    \
    NUMBER(type, HASH);                                                                                                \
    NUMBER(max_entries, 16384);                                                                                        \
    TYPE(key, u32);                                                                                                    \
    TYPE(value, int);                                                                                                  \
  }

struct MAP userns_managed SEC(".maps");
struct MAP userns_setgroups_deny SEC(".maps");
struct MAP userns_overflow SEC(".maps");

REFUSE(sdrx_path_chown, path_chown, userns_managed)
REFUSE(sdrx_path_mkdir, path_mkdir, userns_managed)
REFUSE(sdrx_path_mknod, path_mknod, userns_managed)
REFUSE(sdrx_path_symlink, path_symlink, userns_managed)
REFUSE(sdrx_path_link, path_link, userns_managed)
NOTHING(sdrx_file_open, "lsm/file_open")
NOTHING(sdrx_path_rename, "lsm/path_rename")
NOTHING(sdrx_sb_kern_mount, "lsm/sb_kern_mount")
NOTHING(sdrx_task_fix_setgroups, "lsm/task_fix_setgroups")
NOTHING(sdrx_fentry_retire, "fentry/retire_userns_sysctls")
NOTHING(sdrx_kprobe_retire, "kprobe/retire_userns_sysctls")
NOTHING(sdrx_fentry_free, "fentry/free_user_ns")
NOTHING(sdrx_kprobe_free, "kprobe/free_user_ns")
NOTHING(sdrx_features, "socket")

LICENSE("Dual MIT/GPL");
