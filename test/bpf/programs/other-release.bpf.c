/* Programs by the names of userns-restrict's, on its maps, that refuse all that a registered namespace does, with EACCES. */
#include "program.bpf.h"

enum { EACCES = 13 };

struct ns_common {
  u32 inum;
} KERNEL_STRUCT;

struct user_namespace {
  struct ns_common ns;
} KERNEL_STRUCT;

struct cred {
  struct user_namespace *user_ns;
} KERNEL_STRUCT;

struct task_struct {
  const struct cred *cred;
} KERNEL_STRUCT;

static struct task_struct *(*const current_task)(void) = (void *)158;

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
  NUMBER(type, RINGBUF);
  NUMBER(max_entries, 65536);
} userns_ringbuf SEC(".maps");

struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, 16384);
  TYPE(key, u32);
  TYPE(value, u32);
} userns_overflow SEC(".maps");

#define HOOK(name)                                                                                                     \
  SEC("lsm/" #name) int sdrx_##name(void) {                                                                            \
    u32 inode = current_task()->cred->user_ns->ns.inum;                                                                \
    return map_lookup(&userns_mnt_id_hash, &inode) ? -EACCES : 0;                                                      \
  }

HOOK(path_chown)
HOOK(path_mkdir)
HOOK(path_mknod)
HOOK(path_symlink)
HOOK(path_link)

#define DEATH(name, section)                                                                                           \
  SEC(section) int name(void) {                                                                                        \
    return 0;                                                                                                          \
  }

DEATH(sdrx_fentry_retire, "fentry/retire_userns_sysctls")
DEATH(sdrx_kprobe_retire, "kprobe/retire_userns_sysctls")
DEATH(sdrx_fentry_free, "fentry/free_user_ns")
DEATH(sdrx_kprobe_free, "kprobe/free_user_ns")

LICENSE("GPL");
