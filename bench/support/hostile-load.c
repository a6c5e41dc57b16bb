/*
 * hostile-load SOCKET UID NAMESPACES CONNECTIONS
 *
 * Is a user who takes what the service lets one user have, all at once: so many registered namespaces; so many connections, each
 * with a message that never ends and three descriptors with it; calls in eight further connections, one after another, half
 * of them for the namespaces, half look-ups; and processes of the service within the namespaces, which it stops. Prints one
 * JSON object when it has got all that it gets, then goes on until its input ends. Must be run as root.
 */
#include "namespaces.h"
#include "varlink-client.h"
#include <dirent.h>
#include <poll.h>
#include <stdatomic.h>

#define MOST_NAMESPACES 256
#define MOST 4096
#define CALLERS 8
#define LOOK_UP \
  "{\"method\":\"io.systemd.UserDatabase.GetUserRecord\",\"parameters\":" \
  "{\"userName\":\"ns-hostile-0\",\"service\":\"io.systemd.NamespaceResource\"}}"

static const char *path;
static int namespaces[MOST_NAMESPACES], count;
static int connections[MOST];
static int wanted;
static atomic_int calls, stopped;

static int connect_quietly(void) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  struct timeval patience = {1, 0};
  strcpy(address.sun_path, path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
  if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return fd;
  close(fd);
  return -1;
}

/* Sends bytes with descriptors; -1 if it can't. */
static int send_with(int fd, const char *bytes, size_t size, const int *passed, int count) {
  struct iovec data = {(void *)bytes, size};
  char control[CMSG_SPACE(3 * sizeof(int))] = {0};
  struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control};
  message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  struct cmsghdr *header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(count * sizeof(int));
  memcpy(CMSG_DATA(header), passed, count * sizeof(int));
  return sendmsg(fd, &message, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -1;
}

/* Answered or not, and whatever with. Returns whether it was done. */
static int try_call(const char *request, int namespace) {
  char reply[4096];
  int fd = connect_quietly();
  if (fd < 0) return 0;
  int answered = send_with(fd, request, strlen(request) + 1, &namespace, 1) == 0 && recv(fd, reply, sizeof(reply), 0) > 0;
  int good = answered && strstr(reply, "\"error\"") == NULL;
  close(fd);
  return good;
}

static int is_open(int fd) {
  struct pollfd poller = {fd, POLLIN, 0};
  return poll(&poller, 1, 0) == 0;
}

/* Fills up what was closed. Returns how many are open. */
static int fill(void) {
  static const char begun[] = "{\"method\":\"io.systemd.NamespaceResource.AllocateUserRange\",\"parameters\":{\"na";
  const int passed[3] = {namespaces[0], namespaces[1], namespaces[2]};
  int open = 0, failures = 0;
  for (int i = 0; i < wanted && failures < 64; i++) {
    if (connections[i] >= 0 && is_open(connections[i])) {
      open++;
      continue;
    }
    if (connections[i] >= 0) close(connections[i]);
    connections[i] = connect_quietly();
    if (connections[i] < 0 || send_with(connections[i], begun, sizeof(begun) - 1, passed, 3) != 0) failures++;
    else open++;
  }
  return open;
}

static void *keep_filling(void *nothing) {
  for (;;) {
    fill();
    usleep(10000);
  }
  return nothing;
}

static void *keep_calling(void *number) {
  char request[512];
  for (unsigned i = (intptr_t)number;; i++) {
    snprintf(request, sizeof(request),
             "{\"method\":\"io.systemd.NamespaceResource.AllocateUserRange\",\"parameters\":"
             "{\"name\":\"more%u\",\"size\":1,\"userNamespaceFileDescriptor\":0}}",
             i % 1000);
    try_call(i % 2 == 0 ? request : LOOK_UP, namespaces[i % count]);
    calls++;
  }
  return NULL;
}

/* Its own processes are older. */
static void *keep_stopping(void *nothing) {
  for (;;) {
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc != NULL && (entry = readdir(proc)) != NULL;) {
      int pid = atoi(entry->d_name);
      if (pid > getpid() && kill(pid, SIGSTOP) == 0) stopped++;
    }
    if (proc != NULL) closedir(proc);
    usleep(2000);
  }
  return nothing;
}

static void start(void *(*work)(void *), intptr_t number) {
  pthread_t thread;
  if (pthread_create(&thread, NULL, work, (void *)number) != 0) die("pthread_create");
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  path = argv[1];
  uid_t uid = atoi(argv[2]);
  count = atoi(argv[3]);
  wanted = atoi(argv[4]);
  if (count < 3 || count > MOST_NAMESPACES || wanted < 0 || wanted > MOST) return 2;
  char request[512];
  int registered = 0;
  raise_descriptor_limit();
  for (int i = 0; i < MOST; i++) connections[i] = -1;
  for (int i = 0; i < count; i++) namespaces[i] = make_namespace(uid);
  if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) die("setresuid");
  for (int i = 0; i < count; i++) {
    snprintf(request, sizeof(request),
             "{\"method\":\"io.systemd.NamespaceResource.AllocateUserRange\",\"parameters\":"
             "{\"name\":\"hostile%d\",\"size\":65536,\"userNamespaceFileDescriptor\":0}}",
             i);
    registered += try_call(request, namespaces[i]);
  }
  int open = fill();
  start(keep_filling, 0);
  for (int i = 0; i < CALLERS; i++) start(keep_calling, i * 100);
  start(keep_stopping, 0);
  usleep(500000);
  printf("{\"registered\":%d,\"connections\":%d,\"calls\":%d,\"stopped\":%d}\n", registered, open, calls, stopped);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
