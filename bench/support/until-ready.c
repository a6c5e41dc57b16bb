/*
 * until-ready [-a SOCKET] [-w] LOCK COMMAND...
 *
 * Starts a service and ends as soon as the service says READY=1 (sd_notify(3)), or with -a as soon as it has answered a
 * call on SOCKET. Behind its back the service is killed, and LOCK is held (flock(2)) until all of its processes are
 * gone, so that who measures can wait for that. With -w it is stopped by SIGTERM instead, and waited for: then time(1)
 * sees what it used.
 */
#include "varlink-client.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define PATIENCE 30 /* seconds */

static int gone(pid_t pid) {
  siginfo_t info = {0};
  return waitid(P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

static void wait_ready(int notify, pid_t service) {
  char text[4096];
  for (int64_t end = now_ns() + PATIENCE * INT64_C(1000000000); now_ns() < end;) {
    struct pollfd poll_fd = {.fd = notify, .events = POLLIN};
    if (poll(&poll_fd, 1, 100) == 0) {
      if (gone(service)) break;
      continue;
    }
    ssize_t count = recv(notify, text, sizeof(text) - 1, 0);
    text[count < 0 ? 0 : count] = '\0';
    if (strncmp(text, "READY=1", 7) == 0 || strstr(text, "\nREADY=1") != NULL) return;
  }
  errno = ETIMEDOUT;
  kill(-service, SIGKILL);
  die("not ready");
}

/* Reaps the service and, as their new parent, all processes of its group. */
static void end(pid_t service, int signo) {
  kill(service, signo);
  for (int64_t since = now_ns();;) {
    pid_t reaped = waitpid(-1, NULL, WNOHANG);
    if (reaped < 0) return;
    if (reaped > 0) continue;
    if (now_ns() - since > INT64_C(8000000000)) kill(-service, SIGKILL);
    usleep(1000);
  }
}

int main(int argc, char **argv) {
  const char *answer = NULL;
  int patient = 0, option;
  while ((option = getopt(argc, argv, "+a:w")) != -1) {
    if (option == 'a') answer = optarg;
    else if (option == 'w') patient = 1;
    else return 2;
  }
  if (argc - optind < 2) return 2;

  struct sockaddr_un address = {.sun_family = AF_UNIX};
  socklen_t length = sizeof(address);
  int notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  /* An abstract name of the kernel's choice: found from every mount namespace. unix(7) autobind */
  if (bind(notify, (struct sockaddr *)&address, sizeof(sa_family_t)) != 0) die("bind");
  getsockname(notify, (struct sockaddr *)&address, &length);
  char name[sizeof(address.sun_path) + 1] = "@";
  memcpy(name + 1, address.sun_path + 1, length - offsetof(struct sockaddr_un, sun_path) - 1);

  int ready[2];
  if (pipe2(ready, O_CLOEXEC) != 0) die("pipe2");
  pid_t keeper = fork();
  if (keeper < 0) die("fork");
  if (keeper != 0) {
    char byte;
    close(ready[1]);
    int failed = read(ready[0], &byte, 1) != 1;
    if (patient) waitpid(keeper, NULL, 0);
    return failed;
  }

  int lock = open(argv[optind], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX) != 0) die(argv[optind]);
  prctl(PR_SET_CHILD_SUBREAPER, 1);
  pid_t service = fork();
  if (service < 0) die("fork");
  if (service == 0) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    setenv("NOTIFY_SOCKET", name, 1);
    execvp(argv[optind + 1], argv + optind + 1);
    die(argv[optind + 1]);
  }
  setpgid(service, service);
  wait_ready(notify, service);
  if (answer != NULL) {
    char *reply = malloc(REPLY_SIZE);
    int fd = connect_to(answer, PATIENCE * INT64_C(1000000000));
    if (fd < 0 || !call(fd, "{\"method\":\"org.varlink.service.GetInfo\"}", -1, reply)) die("no answer");
    close(fd);
  }
  if (write(ready[1], "", 1) != 1) die("write");
  close(ready[1]);
  end(service, patient ? SIGTERM : SIGKILL);
  return 0;
}
