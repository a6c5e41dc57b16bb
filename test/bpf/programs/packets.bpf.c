// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Writes what it is run on into a ring buffer, and returns what came of it. */
#include "program.bpf.h"

enum { LARGEST = 1024, COMMAND_SIZE = 4 };
enum command { WRITE = 0, WRITE_NOTHING = 1, GIVE_UP = 2, COUNT = 3 };

/* What the program is given of a packet. */
struct __sk_buff {
  u32 len;
};

struct {
  NUMBER(type, RINGBUF);
  NUMBER(max_entries, 4096);
} records SEC(".maps");

struct {
  NUMBER(type, MAP_ARRAY);
  NUMBER(max_entries, 1);
  TYPE(key, u32);
  TYPE(value, unsigned char[LARGEST]);
} scratch SEC(".maps");

struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, 8);
  TYPE(key, u32);
  TYPE(value, u64);
} counts SEC(".maps");

SEC("socket") int packet(struct __sk_buff *skb) {
  u32 command = 0;
  if (skb_load_bytes(skb, 0, &command, COMMAND_SIZE)) return -100;
  if (command == WRITE_NOTHING) return ringbuf_output(&records, &command, 0, 0);
  if (command == GIVE_UP) {
    void *record = ringbuf_reserve(&records, 16, 0);
    if (record) ringbuf_discard(record, 0);
    return record ? 0 : -1;
  }
  if (command == COUNT) {
    u32 key = skb->len;
    u64 one = 1;
    u64 *count = map_lookup(&counts, &key);
    if (count) __sync_fetch_and_add(count, 1);
    else map_update(&counts, &key, &one, NOEXIST);
    return 0;
  }
  u32 first = 0;
  unsigned char *bytes = map_lookup(&scratch, &first);
  if (!bytes || skb->len <= COMMAND_SIZE) return -101;
  /* From 1 to LARGEST, in a way that older verifiers understand. */
  u32 size = ((skb->len - COMMAND_SIZE - 1) & (LARGEST - 1)) + 1;
  if (skb_load_bytes(skb, COMMAND_SIZE, bytes, size)) return -102;
  return ringbuf_output(&records, bytes, size, 0);
}

/* Refused by the verifier: it reads where there may be nothing. */
SEC("socket") int careless(void) {
  u32 first = 0;
  return *(u32 *)map_lookup(&counts, &first);
}

/* Attached to what everybody does, so that a test can cause it. */
SEC("raw_tp/sched_process_fork") int fork(void) {
  u32 key = 0;
  u64 one = 1;
  u64 *count = map_lookup(&counts, &key);
  if (count) __sync_fetch_and_add(count, 1);
  else map_update(&counts, &key, &one, NOEXIST);
  return 0;
}

LICENSE("Dual MIT/GPL");
