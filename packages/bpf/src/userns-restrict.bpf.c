// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * userns-restrict: a task below a registered user namespace leaves none of the ids that are lent to namespaces on a file
 * system that outlives its namespace, where they would be another's one day. What a file system that was mounted by the
 * registered namespace or one below it holds goes with that namespace; so does nothing else.
 *
 * It goes by what nobody but the kernel can set: a superblock's namespace and a mount's map of ids. Whose mount namespace a
 * mount is in says nothing: unshare(2) makes copies of all mounts.
 *
 * Besides, the death of registered namespaces is reported. The maps have the shape of those of systemd-nsresourced 262, so
 * that either daemon can go on with what the other one left pinned.
 */
#include "ids.bpf.h"

enum { EPERM = 1 };
enum {
  /* The kernel has no more levels of namespaces than this, the first one included. */
  MAX_LEVELS = 34,
  MAX_NAMESPACES = 16384,
};
enum { OVERLAYFS_SUPER_MAGIC = 0x794c7630, CGROUP2_SUPER_MAGIC = 0x63677270 };
enum { O_TMPFILE = 020000000, RENAME_WHITEOUT = 4 };

/* The inodes of registered namespaces. */
struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, MAX_NAMESPACES);
  TYPE(key, u32);
  TYPE(value, int);
} userns_managed SEC(".maps");

/* The inodes of those in which nobody may call setgroups(2). */
struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, MAX_NAMESPACES);
  TYPE(key, u32);
  TYPE(value, int);
} userns_setgroups_deny SEC(".maps");

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

INLINE u32 inode_of(struct user_namespace *namespace) {
  struct ns_common *common = (void *)namespace + OFFSET_OF(struct user_namespace, ns);
  return READ(common, inum);
}

/* No address of a namespace: there is none, or the levels have no end. */
enum { NONE = 0, ENDLESS = 1 };

/* The nearest registered namespace, of one and those above it. */
SUBPROGRAM u64 registered_above(u64 address) {
  struct user_namespace *namespace = (void *)address;
  for (int level = 0; level < MAX_LEVELS; level++) {
    u32 inode = inode_of(namespace);
    if (map_lookup(&userns_managed, &inode)) return (u64)namespace;
    namespace = READ(namespace, parent);
    if (!namespace) return NONE;
  }
  return ENDLESS;
}

/* Whether a namespace is `top` or below it. */
SUBPROGRAM int is_below(u64 address, u64 top) {
  struct user_namespace *namespace = (void *)address;
  for (int level = 0; level < MAX_LEVELS && namespace; level++) {
    if ((u64)namespace == top) return 1;
    namespace = READ(namespace, parent);
  }
  return 0;
}

/* The namespace whose file systems a task may leave its ids on; NONE if it is free, ENDLESS if it is not known. */
INLINE u64 registered_of_task(void) {
  struct cred *cred = READ(current_task(), cred);
  return registered_above((u64)READ(cred, user_ns));
}

/*
 * Whether what is on a mount's file system goes with a registered namespace. Control groups do: those that it was given are
 * removed when it is dead, with all that it made below, and elsewhere it can make none.
 */
INLINE int goes_with(struct vfsmount *mount, u64 registered) {
  struct super_block *super = READ(mount, mnt_sb);
  if (READ(super, s_magic) == CGROUP2_SUPER_MAGIC) return 1;
  return is_below((u64)READ(super, s_user_ns), registered);
}

/* No address of a mount: there is none, or it can't be found out. */
enum { NO_UPPER = 0, UNKNOWN_UPPER = 1 };

/* The mount that an overlay writes to, of its super block. */
INLINE u64 upper_of(struct super_block *super) {
  struct ovl_fs *overlay = READ(super, s_fs_info);
  if (!FIELD_EXISTS(overlay->layers)) return UNKNOWN_UPPER;
  struct ovl_layer *layers = READ(overlay, layers);
  if (!FIELD_EXISTS(layers->mnt)) return UNKNOWN_UPPER;
  if (!layers) return UNKNOWN_UPPER;
  struct vfsmount *upper;
  if (READ_TO(upper, layers, mnt)) return UNKNOWN_UPPER;
  return (u64)upper;
}

/*
 * The mount that has what is created on one. An overlay creates it on its upper layer, and no hook with a path sees that; it
 * may have been mounted before the namespace was registered, so that it was not judged then.
 */
SUBPROGRAM u64 disk_of(u64 address) {
  struct vfsmount *mount = (void *)address;
  struct super_block *super = READ(mount, mnt_sb);
  if (READ(super, s_magic) != OVERLAYFS_SUPER_MAGIC) return address;
  u64 upper = upper_of(super);
  return upper == NO_UPPER ? address : upper;
}

/* Whether what these own may be on a mount's file system, which outlives those whose ids are lent. */
SUBPROGRAM int may_own(u64 disk, u32 uid, u32 gid) {
  return !is_refused(owner_on(disk, uid, 0)) && !is_refused(owner_on(disk, gid, 1));
}

/* Whether the task may create something on a mount. */
SUBPROGRAM int may_create(u64 mount) {
  struct cred *cred = READ(current_task(), cred);
  u32 uid = READ(cred, fsuid).val;
  u32 gid = READ(cred, fsgid).val;
  if (!has_transient(uid, uid) && !has_transient(gid, gid)) return 1;
  u64 registered = registered_of_task();
  if (registered == NONE) return 1;
  if (registered == ENDLESS) return 0;
  u64 disk = disk_of(mount);
  if (disk == UNKNOWN_UPPER) return 0;
  if (goes_with((void *)disk, registered)) return 1;
  return may_own(disk, uid, gid);
}

INLINE int create(void *path) {
  return may_create((u64)READ((struct path *)path, mnt)) ? 0 : -EPERM;
}

/* The arguments of a hook are numbers of 64 bits, in order. What an earlier program refused never comes here. */
SEC("lsm/path_mkdir") int sdrx_path_mkdir(u64 *arguments) {
  return create((void *)arguments[0]);
}

/* Regular files, too. */
SEC("lsm/path_mknod") int sdrx_path_mknod(u64 *arguments) {
  return create((void *)arguments[0]);
}

SEC("lsm/path_symlink") int sdrx_path_symlink(u64 *arguments) {
  return create((void *)arguments[0]);
}

SEC("lsm/path_link") int sdrx_path_link(u64 *arguments) {
  return create((void *)arguments[1]);
}

/* Where the old name was, a rename may leave a whiteout, which is a file of the task's. */
SEC("lsm/path_rename") int sdrx_path_rename(u64 *arguments) {
  return arguments[4] & RENAME_WHITEOUT ? create((void *)arguments[0]) : 0;
}

/*
 * A file without a name: whoever is passed it could give it one, also a task that is not restricted. All other files are
 * made by path_mknod before they are opened.
 */
SEC("lsm/file_open") int sdrx_file_open(u64 *arguments) {
  struct file *file = (void *)arguments[0];
  if (!(READ(file, f_flags) & O_TMPFILE)) return 0;
  return may_create((u64)READ(file, f_path.mnt)) ? 0 : -EPERM;
}

/* Its ids have been through the mount's map already. */
SEC("lsm/path_chown") int sdrx_path_chown(u64 *arguments) {
  u32 uid = arguments[1];
  u32 gid = arguments[2];
  if (!has_transient(uid, uid) && !has_transient(gid, gid)) return 0;
  u64 registered = registered_of_task();
  if (registered == NONE) return 0;
  if (registered == ENDLESS) return -EPERM;
  u64 mount = (u64)READ((struct path *)arguments[0], mnt);
  u64 disk = disk_of(mount);
  if (disk == UNKNOWN_UPPER) return -EPERM;
  if (goes_with((void *)disk, registered)) return 0;
  /* Those of an overlay go through the map of its upper mount, too. */
  if (disk == mount) return -EPERM;
  return may_own(disk, uid, gid) ? 0 : -EPERM;
}

/*
 * An overlay is judged when it is mounted, too, also a read-only one: to be remounted it needs no hook. It makes files of its
 * own on the upper layer, for all who will use it.
 */
INLINE int may_overlay(struct super_block *super) {
  u64 registered = registered_above((u64)READ(super, s_user_ns));
  if (registered == NONE) return 1;
  if (registered == ENDLESS) return 0;
  u64 address = upper_of(super);
  if (address == NO_UPPER) return 1;
  if (address == UNKNOWN_UPPER) return 0;
  struct vfsmount *upper = (void *)address;
  if (goes_with(upper, registered)) return 1;
  struct super_block *below = READ(upper, mnt_sb);
  struct user_namespace *namespace = READ(below, s_user_ns);
  if (!namespace || READ(namespace, parent)) return 0;
  return !lets_transient_through(address, 0) && !lets_transient_through(address, 1);
}

SEC("lsm/sb_kern_mount") int sdrx_sb_kern_mount(u64 *arguments) {
  struct super_block *super = (void *)arguments[0];
  if (READ(super, s_magic) != OVERLAYFS_SUPER_MAGIC) return 0;
  return may_overlay(super) ? 0 : -EPERM;
}

/* Of the namespace that setgroups(2) is called in, and those above it, the nearest that is registered decides. */
SUBPROGRAM int may_set_groups(u64 address) {
  struct user_namespace *namespace = (void *)address;
  for (int level = 0; level < MAX_LEVELS; level++) {
    u32 inode = inode_of(namespace);
    if (map_lookup(&userns_setgroups_deny, &inode)) return 0;
    if (map_lookup(&userns_managed, &inode)) return 1;
    namespace = READ(namespace, parent);
    if (!namespace) return 1;
  }
  return 0;
}

SEC("lsm/task_fix_setgroups") int sdrx_task_fix_setgroups(u64 *arguments) {
  struct cred *cred = (void *)arguments[0];
  return may_set_groups((u64)READ(cred, user_ns)) ? 0 : -EPERM;
}

INLINE int report(struct user_namespace *dead) {
  u32 inode = inode_of(dead);
  if (!map_lookup(&userns_managed, &inode)) {
    if (!map_lookup(&userns_setgroups_deny, &inode)) return 0;
  }
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

/* What of the kernel can be read, a bit each; run by whoever installs the others, on any packet. */
SEC("socket") int sdrx_features(void *packet __attribute__((unused))) {
  struct vfsmount *mount = 0;
  struct mnt_idmap *idmap = 0;
  struct ovl_fs *overlay = 0;
  struct ovl_layer *layer = 0;
  int features = 0;
  if (FIELD_EXISTS(idmap->uid_map) || FIELD_EXISTS(idmap->owner) || FIELD_EXISTS(mount->mnt_userns)) features |= 1;
  if (FIELD_EXISTS(overlay->layers) && FIELD_EXISTS(layer->mnt)) features |= 2;
  return features;
}

LICENSE("Dual MIT/GPL");
