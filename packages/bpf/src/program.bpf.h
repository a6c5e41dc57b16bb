// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/*
 * What a BPF program needs of the kernel's interface, so that clang is all it takes to compile one: no headers of libbpf's
 * or of the kernel's. Numbers are those of the kernel's uapi/linux/bpf.h, names of sections those of libbpf.
 */
#pragma once

typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
/* A function that is verified once, whoever calls it: it takes and returns numbers only. */
#define SUBPROGRAM __attribute__((noinline))
/* The kernel has helpers, and the hooks of security modules, only for programs under the GPL. "Dual MIT/GPL" counts as that. */
#define LICENSE(name) char _license[] SEC("license") = name

/* Fields of a map's declaration, which libbpf reads from their types. */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, type) typeof(type) *name
#define ARRAY(name, type) typeof(type) *name[]

enum map_type { HASH = 1, MAP_ARRAY = 2, HASH_OF_MAPS = 13, RINGBUF = 27 };
enum update_flags { ANY = 0, NOEXIST = 1 };

static void *(*const map_lookup)(const void *map, const void *key) = (void *)1;
static long (*const map_update)(const void *map, const void *key, const void *value, u64 flags) = (void *)2;
static u64 (*const get_current_pid_tgid)(void) = (void *)14;
static long (*const get_current_comm)(void *name, u32 size) = (void *)16;
static long (*const skb_load_bytes)(const void *skb, u32 offset, void *to, u32 size) = (void *)26;
static long (*const read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static void *(*const ringbuf_reserve)(const void *ring, u64 size, u64 flags) = (void *)131;
static void (*const ringbuf_submit)(void *record, u64 flags) = (void *)132;
static void (*const ringbuf_discard)(void *record, u64 flags) = (void *)133;
static long (*const ringbuf_output)(const void *ring, const void *data, u64 size, u64 flags) = (void *)130;

/* A struct of the kernel of which only some fields are declared; where they are is found out when the program is loaded. */
#define KERNEL_STRUCT __attribute__((preserve_access_index))
#define FIELD_EXISTS(field) __builtin_preserve_field_info(field, 2)
#define OFFSET_OF(type, member) __builtin_preserve_field_info(((type *)0)->member, 0)

/* Reads a field through a pointer that the verifier knows nothing of; not zero if it leads nowhere. */
#define READ_TO(target, pointer, member) read_kernel(&(target), sizeof(target), &(pointer)->member)

/* The same; zero if it leads nowhere. */
#define READ(pointer, member)                                                                                          \
  ({                                                                                                                   \
    typeof((pointer)->member) read_value;                                                                              \
    READ_TO(read_value, pointer, member);                                                                            \
    read_value;                                                                                                        \
  })
