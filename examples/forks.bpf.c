// SPDX-License-Identifier: (GPL-2.0-only OR MIT)
/* Counts the processes that are started, by the program that starts them, and tells of each. */
#include "program.bpf.h"

struct started {
  u32 pid;
  char by[16];
};

struct {
  NUMBER(type, HASH);
  NUMBER(max_entries, 1024);
  TYPE(key, char[16]);
  TYPE(value, u64);
} counts SEC(".maps");

struct {
  NUMBER(type, RINGBUF);
  NUMBER(max_entries, 65536);
} started SEC(".maps");

/* A raw tracepoint: the kernel calls this in the process that starts another one. */
SEC("raw_tp/sched_process_fork") int on_fork(void) {
  struct started record = {.pid = get_current_pid_tgid() >> 32};
  get_current_comm(record.by, sizeof(record.by));
  u64 one = 1;
  u64 *count = map_lookup(&counts, record.by);
  if (count) __sync_fetch_and_add(count, 1);
  else map_update(&counts, record.by, &one, NOEXIST);
  ringbuf_output(&started, &record, sizeof(record), 0);
  return 0;
}

LICENSE("Dual MIT/GPL");
