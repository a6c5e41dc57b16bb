/*
 * echo SOCKET
 *
 * Sends back what it receives, with epoll(7) and nothing else: the least that any service can do for a call. Ends with its input.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTENING 0
#define INPUT 1

static char buffer[32768];

static _Noreturn void die(const char *what) {
  perror(what);
  exit(1);
}

static ssize_t answer(int fd) {
  ssize_t count = recv(fd, buffer, sizeof(buffer), 0);
  if (count > 0) send(fd, buffer, count, MSG_NOSIGNAL);
  return count;
}

static void watch(int epoll, int fd, unsigned data) {
  struct epoll_event event = {.events = EPOLLIN, .data.u32 = data};
  if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) die("epoll_ctl");
}

int main(int argc, char **argv) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path)) return 2;
  strcpy(address.sun_path, argv[1]);
  int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0), epoll = epoll_create1(0);
  if (bind(listening, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(listening, 4096) != 0) die(argv[1]);
  watch(epoll, listening, LISTENING);
  watch(epoll, 0, INPUT);
  puts("listening");
  fflush(stdout);
  for (;;) {
    struct epoll_event events[64];
    int count = epoll_wait(epoll, events, 64, -1);
    for (int i = 0; i < count; i++) {
      int fd = events[i].data.u32;
      if (fd == INPUT) {
        unlink(argv[1]);
        return 0;
      }
      if (fd != LISTENING) {
        if (answer(fd) == 0) close(fd);
        continue;
      }
      while ((fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (answer(fd) == 0) close(fd);
        else watch(epoll, fd, fd);
      }
    }
  }
}
