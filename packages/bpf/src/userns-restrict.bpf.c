/*
 * userns-restrict: a task whose user namespace is registered may create inodes, and change their owner, on two kinds of
 * mounts only: those that belong to its own namespace or one below it, and those on its namespace's list. Else its ids,
 * which are lent and will be another's one day, would stay on file systems that outlive them.
 *
 * Besides, the death of registered namespaces is reported. The maps have the shape of those of systemd-nsresourced, so that
 * either daemon can go on with what the other one left pinned.
 */
#include "program.bpf.h"

enum { EPERM = 1 };
enum {
  MAX_DEPTH = 32,
  MAX_NAMESPACES = 16384,
  MAX_MOUNTS = 4096,
};

struct work_struct {
  int unused;
} KERNEL_STRUCT;

struct ns_common {
  u32 inum;
} KERNEL_STRUCT;

struct user_namespace {
  struct user_namespace *parent;
  struct ns_common ns;
  struct work_struct work;
} KERNEL_STRUCT;

struct mnt_namespace {
  struct user_namespace *user_ns;
} KERNEL_STRUCT;

struct vfsmount {
  int mnt_flags;
} KERNEL_STRUCT;

struct mount {
  struct vfsmount mnt;
  struct mnt_namespace *mnt_ns;
  int mnt_id;
} KERNEL_STRUCT;

struct path {
  struct vfsmount *mnt;
} KERNEL_STRUCT;

struct cred {
  struct user_namespace *user_ns;
} KERNEL_STRUCT;

struct task_struct {
  struct cred *cred;
} KERNEL_STRUCT;

/* The first argument of a probed function is in a register, which has another name on each architecture. */
struct pt_regs___x86 {
  unsigned long di;
} KERNEL_STRUCT;

struct user_pt_regs___arm64 {
  u64 regs[31];
} KERNEL_STRUCT;

static struct task_struct *(*const current_task)(void) = (void *)158;

/* Of each registered namespace, by its inode, the ids of the mounts on its list. Replaced by a larger one as it grows. */
struct {
  NUMBER(type, HASH_OF_MAPS);
  NUMBER(max_entries, MAX_NAMESPACES);
  TYPE(key, u32);
  ARRAY(values, struct {
    NUMBER(type, HASH);
    NUMBER(max_entries, MAX_MOUNTS);
    TYPE(key, int);
    TYPE(value, u32);
  });
} userns_mnt_id_hash SEC(".maps");

/* Inodes of registered namespaces that died. */
struct {
  NUMBER(type, RINGBUF);
  NUMBER(max_entries, MAX_NAMESPACES * sizeof(u32));
} userns_ringbuf SEC(".maps");

/* Those that found no room in the ring buffer. */
struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, MAX_NAMESPACES);
  TYPE(key, u32);
  TYPE(value, u32);
} userns_overflow SEC(".maps");

/* Whether a mount belongs to a namespace or to one below it; negative if there is no end to the hierarchy. */
INLINE int is_own_mount(struct mount *mount, struct user_namespace *own) {
  struct mnt_namespace *namespace = READ(mount, mnt_ns);
  struct user_namespace *owner = READ(namespace, user_ns);
  for (int depth = 0; depth < MAX_DEPTH; depth++) {
    if (owner == own) return 1;
    owner = READ(owner, parent);
    if (!owner) return 0;
  }
  return -EPERM;
}

INLINE int check(struct path *path) {
  struct user_namespace *own = current_task()->cred->user_ns;
  u32 inode = own->ns.inum;
  void *allowed = map_lookup(&userns_mnt_id_hash, &inode);
  if (!allowed) return 0;

  struct mount *mount = (void *)path->mnt - OFFSET_OF(struct mount, mnt);
  int is_own = is_own_mount(mount, own);
  if (is_own != 0) return is_own < 0 ? -EPERM : 0;
  int id = READ(mount, mnt_id);
  return map_lookup(allowed, &id) ? 0 : -EPERM;
}

/* The arguments of a hook are numbers of 64 bits, in order. What an earlier program refused never comes here. */
SEC("lsm/path_mkdir") int sdrx_path_mkdir(u64 *arguments) {
  return check((struct path *)arguments[0]);
}

SEC("lsm/path_mknod") int sdrx_path_mknod(u64 *arguments) {
  return check((struct path *)arguments[0]);
}

SEC("lsm/path_symlink") int sdrx_path_symlink(u64 *arguments) {
  return check((struct path *)arguments[0]);
}

SEC("lsm/path_link") int sdrx_path_link(u64 *arguments) {
  return check((struct path *)arguments[1]);
}

SEC("lsm/path_chown") int sdrx_path_chown(u64 *arguments) {
  return check((struct path *)arguments[0]);
}

INLINE int report(struct user_namespace *dead) {
  struct ns_common *common = (void *)dead + OFFSET_OF(struct user_namespace, ns);
  u32 inode = READ(common, inum);
  if (!map_lookup(&userns_mnt_id_hash, &inode)) return 0;
  if (ringbuf_output(&userns_ringbuf, &inode, sizeof(inode), 0) == 0) return 0;
  map_update(&userns_overflow, &inode, &inode, ANY);
  /* The reader may have emptied the ring meanwhile, and sleep: an empty record wakes it. */
  ringbuf_output(&userns_ringbuf, &inode, 0, 0);
  return 0;
}

INLINE struct user_namespace *of_work(void *work) {
  return work - OFFSET_OF(struct user_namespace, work);
}

INLINE void *first_argument(void *registers) {
  struct pt_regs___x86 *x86 = registers;
  struct user_pt_regs___arm64 *arm64 = registers;
  if (FIELD_EXISTS(x86->di)) return (void *)READ(x86, di);
  return (void *)READ(arm64, regs[0]);
}

/*
 * Of these one is attached, the first that the kernel has. A chain of parents that die with their child goes through
 * free_user_ns once, but through retire_userns_sysctls one by one.
 */
SEC("fentry/retire_userns_sysctls") int sdrx_fentry_retire(u64 *arguments) {
  return report((struct user_namespace *)arguments[0]);
}

SEC("kprobe/retire_userns_sysctls") int sdrx_kprobe_retire(void *registers) {
  return report(first_argument(registers));
}

SEC("fentry/free_user_ns") int sdrx_fentry_free(u64 *arguments) {
  return report(of_work((void *)arguments[0]));
}

SEC("kprobe/free_user_ns") int sdrx_kprobe_free(void *registers) {
  return report(of_work(first_argument(registers)));
}

LICENSE("GPL");
