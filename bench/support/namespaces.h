/* User namespaces that only a descriptor holds alive, for the load programs. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

static _Noreturn void no_namespace(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

/* A namespace owned by `uid`. Must be called as root, or as that user. */
static int make_namespace(uid_t uid) {
  int made[2];
  char byte = 0, path[64];
  if (pipe(made) != 0) no_namespace("pipe");
  pid_t child = fork();
  if (child < 0) no_namespace("fork");
  if (child == 0) {
    if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) _exit(1);
    if (unshare(CLONE_NEWUSER) != 0 || write(made[1], &byte, 1) != 1) _exit(1);
    pause();
  }
  close(made[1]);
  if (read(made[0], &byte, 1) != 1) no_namespace("unshare");
  close(made[0]);
  snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)child);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) no_namespace(path);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  return fd;
}

static void raise_descriptor_limit(void) {
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
}
