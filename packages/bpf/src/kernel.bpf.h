// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * The structs of the kernel that userns-restrict reads, with the fields that it reads. Where they are in the running kernel is
 * found out when the program is loaded; those that only some kernels have are asked for by FIELD_EXISTS.
 */
#pragma once
#include "program.bpf.h"

struct work_struct {
  int unused;
} KERNEL_STRUCT;

struct ns_common {
  u32 inum;
} KERNEL_STRUCT;

/* A piece of a map of ids: `count` ids, from `first` on inside, from `lower_first` on outside. */
struct uid_gid_extent {
  u32 first;
  u32 lower_first;
  u32 count;
};

/* Up to five extents are in the struct itself, in any order; more are in two arrays, each sorted by one side. */
struct uid_gid_map {
  u32 nr_extents;
  struct uid_gid_extent extent[5];
  struct uid_gid_extent *forward;
  struct uid_gid_extent *reverse;
} KERNEL_STRUCT;

struct user_namespace {
  struct uid_gid_map uid_map;
  struct uid_gid_map gid_map;
  struct user_namespace *parent;
  struct ns_common ns;
  struct work_struct work;
} KERNEL_STRUCT;

/* Since Linux 6.2; with the maps themselves since 6.7. */
struct mnt_idmap {
  struct user_namespace *owner;
  struct uid_gid_map uid_map;
  struct uid_gid_map gid_map;
} KERNEL_STRUCT;

struct super_block {
  unsigned long s_magic;
  void *s_fs_info;
  struct user_namespace *s_user_ns;
} KERNEL_STRUCT;

struct vfsmount {
  struct super_block *mnt_sb;
  struct mnt_idmap *mnt_idmap;
  /* Before Linux 6.2. */
  struct user_namespace *mnt_userns;
} KERNEL_STRUCT;

struct path {
  struct vfsmount *mnt;
} KERNEL_STRUCT;

struct file {
  u32 f_flags;
  struct path f_path;
} KERNEL_STRUCT;

typedef struct {
  u32 val;
} kuid_t;

typedef struct {
  u32 val;
} kgid_t;

struct cred {
  kuid_t fsuid;
  kgid_t fsgid;
  struct user_namespace *user_ns;
} KERNEL_STRUCT;

struct task_struct {
  struct cred *cred;
} KERNEL_STRUCT;

/* Of the module overlay, unless that is built in. */
struct ovl_layer {
  struct vfsmount *mnt;
} KERNEL_STRUCT;

struct ovl_fs {
  struct ovl_layer *layers;
} KERNEL_STRUCT;

/* The first argument of a probed function is in a register, which has another name on each architecture. */
struct pt_regs___x86 {
  unsigned long di;
} KERNEL_STRUCT;

struct user_pt_regs___arm64 {
  u64 regs[31];
} KERNEL_STRUCT;

static struct task_struct *(*const current_task)(void) = (void *)158;
