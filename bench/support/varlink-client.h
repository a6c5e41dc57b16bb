/* What the load programs share: a blocking Varlink client of a few lines, and clocks. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define REPLY_SIZE 65536

static _Noreturn void die(const char *what) {
  fprintf(stderr, "%s: %s\n", what, strerror(errno));
  exit(1);
}

static int64_t now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* Connects; -1 if that takes longer than `patience`. No later call on the connection waits longer either. */
static int connect_to(const char *path, int64_t patience_ns) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(path) >= sizeof(address.sun_path)) {
    errno = ENAMETOOLONG;
    die(path);
  }
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) die("socket");
  if (patience_ns < 1000000) patience_ns = 1000000; /* 0 would mean for ever */
  struct timeval patience = {patience_ns / 1000000000, patience_ns % 1000000000 / 1000};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return fd;
  if (errno != EAGAIN) die(path);
  close(fd);
  return -1;
}

/* Sends a call with at most one descriptor (-1: none) and waits for its reply; 0 if none came in time, -1 without a connection. */
static int exchange(int fd, const char *request, int passed, char reply[REPLY_SIZE]) {
  struct iovec data = {(void *)request, strlen(request) + 1};
  char control[CMSG_SPACE(sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
  if (passed >= 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &passed, sizeof(int));
  }
  ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
  if (sent < 0 && errno == EAGAIN) return 0;
  if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return -1;
  if (sent != (ssize_t)data.iov_len) die("sendmsg");
  for (size_t size = 0; size < REPLY_SIZE;) {
    ssize_t count = recv(fd, reply + size, REPLY_SIZE - size, 0);
    if (count < 0 && errno == EAGAIN) return 0;
    if (count == 0 || (count < 0 && errno == ECONNRESET)) return -1;
    if (count < 0) die("recv");
    size += count;
    if (reply[size - 1] == '\0') return 1;
  }
  errno = EMSGSIZE;
  die("reply");
}

/* The same, but the service must not close the connection. */
static inline int call(int fd, const char *request, int passed, char reply[REPLY_SIZE]) {
  int answered = exchange(fd, request, passed, reply);
  if (answered < 0) die("the service closed the connection");
  return answered;
}
