/* The few operations of io_uring that make names, each one alone. io_uring(7). */
#include <linux/io_uring.h>
#include <sys/mman.h>

#include "program.h"

static int submit(const struct io_uring_sqe *wanted) {
  struct io_uring_params parameters = {0};
  int ring = syscall(SYS_io_uring_setup, 1, &parameters);
  if (ring < 0) return errno;
  size_t size = parameters.sq_off.array + parameters.sq_entries * sizeof(unsigned);
  size_t completions = parameters.cq_off.cqes + parameters.cq_entries * sizeof(struct io_uring_cqe);
  if (completions > size) size = completions;
  int protection = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
  char *rings = mmap(NULL, size, protection, flags, ring, IORING_OFF_SQ_RING);
  size_t entries = parameters.sq_entries * sizeof(struct io_uring_sqe);
  struct io_uring_sqe *queue = mmap(NULL, entries, protection, flags, ring, IORING_OFF_SQES);
  int result = EFAULT;
  if (rings != MAP_FAILED && queue != MAP_FAILED) {
    queue[0] = *wanted;
    *(unsigned *)(rings + parameters.sq_off.array) = 0;
    __atomic_store_n((unsigned *)(rings + parameters.sq_off.tail), 1, __ATOMIC_RELEASE);
    if (syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
      result = errno;
    } else {
      struct io_uring_cqe *done = (void *)(rings + parameters.cq_off.cqes);
      result = done->res < 0 ? -done->res : 0;
      if (done->res >= 0 && wanted->opcode == IORING_OP_OPENAT) close(done->res);
    }
  }
  if (rings != MAP_FAILED) munmap(rings, size);
  if (queue != MAP_FAILED) munmap(queue, entries);
  close(ring);
  return result;
}

int uring_mkdir(int folder, const char *name) {
  struct io_uring_sqe wanted = {.opcode = IORING_OP_MKDIRAT, .fd = folder, .addr = (uintptr_t)name, .len = 0777};
  return submit(&wanted);
}

int uring_open(int folder, const char *name, int flags) {
  struct io_uring_sqe wanted = {
    .opcode = IORING_OP_OPENAT, .fd = folder, .addr = (uintptr_t)name, .len = 0666, .open_flags = flags};
  return submit(&wanted);
}

int uring_symlink(const char *to, int folder, const char *name) {
  struct io_uring_sqe wanted = {
    .opcode = IORING_OP_SYMLINKAT, .fd = folder, .addr = (uintptr_t)to, .addr2 = (uintptr_t)name};
  return submit(&wanted);
}

int uring_link(int old_folder, const char *old, int folder, const char *name) {
  struct io_uring_sqe wanted = {
    .opcode = IORING_OP_LINKAT, .fd = old_folder, .addr = (uintptr_t)old, .len = folder, .addr2 = (uintptr_t)name};
  return submit(&wanted);
}

int uring_rename(int old_folder, const char *old, int folder, const char *name, unsigned flags) {
  struct io_uring_sqe wanted = {.opcode = IORING_OP_RENAMEAT,
                                .fd = old_folder,
                                .addr = (uintptr_t)old,
                                .len = folder,
                                .addr2 = (uintptr_t)name,
                                .rename_flags = flags};
  return submit(&wanted);
}
