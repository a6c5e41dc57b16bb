// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* What programs need that refuse all that a registered namespace does, with EACCES, which ours never say. */
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
  NUMBER(type, RINGBUF);
  NUMBER(max_entries, 65536);
} userns_ringbuf SEC(".maps");

/* A hook that refuses what is in `map`. */
#define REFUSE(program, hook, map)                                                                                     \
  SEC("lsm/" #hook) int program(void) {                                                                                \
    u32 inode = current_task()->cred->user_ns->ns.inum;                                                                \
    return map_lookup(&map, &inode) ? -EACCES : 0;                                                                     \
  }

/* A program that does nothing. */
#define NOTHING(program, section)                                                                                      \
  SEC(section) int program(void) {                                                                                     \
    return 0;                                                                                                          \
  }
