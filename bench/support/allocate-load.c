/*
 * allocate-load SOCKET CLIENTS COUNT UID
 *
 * Makes COUNT user namespaces without maps for each of CLIENTS users, from UID on, then lets one thread for each user
 * have its own allocated, one after another on one connection. Prints one JSON object, then holds the namespaces until
 * its input ends. Must be run as root.
 */
#include "namespaces.h"
#include "varlink-client.h"
#include <stdatomic.h>
#include <sys/syscall.h>

static const char *path;
static int count;
static pthread_barrier_t start;
static atomic_int retries;

struct client {
  pthread_t thread;
  int number;
  uid_t uid;
  int *namespaces;
  uint64_t *latencies; /* nanoseconds */
};

static int is_overloaded(const char *reply) {
  return strstr(reply, "\"ETIMEDOUT\"") != NULL || strstr(reply, "\"EBUSY\"") != NULL;
}

static void *run(void *argument) {
  struct client *client = argument;
  char request[512];
  char *reply = malloc(REPLY_SIZE);
  /* The system call itself: the C library's function would change all threads. */
  if (syscall(SYS_setresuid, client->uid, client->uid, client->uid) != 0) die("setresuid");
  int fd = connect_to(path, INT64_C(120000000000));
  pthread_barrier_wait(&start);
  for (int i = 0; i < count; i++) {
    snprintf(request, sizeof(request),
             "{\"method\":\"io.systemd.NamespaceResource.AllocateUserRange\",\"parameters\":"
             "{\"name\":\"bench%d-%d\",\"size\":65536,\"userNamespaceFileDescriptor\":0}}",
             client->number, i);
    int64_t begin = now_ns();
    /* A service that has too much to do says so in time, or closes the connection. */
    for (;;) {
      int answered = fd < 0 ? 0 : exchange(fd, request, client->namespaces[i], reply);
      if (answered == 0) die("no answer within 2 minutes");
      if (answered > 0 && !is_overloaded(reply)) break;
      retries++;
      if (answered < 0) {
        close(fd);
        fd = connect_to(path, INT64_C(120000000000));
      }
    }
    client->latencies[i] = now_ns() - begin;
    // Since systemd 258 with the name of the namespace.
    if (strstr(reply, "\"error\"") != NULL) {
      fprintf(stderr, "unexpected reply: %s\n", reply);
      exit(1);
    }
  }
  close(fd);
  return NULL;
}

static int ascending(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  path = argv[1];
  int clients_count = atoi(argv[2]);
  count = atoi(argv[3]);
  struct client clients[clients_count];
  uint64_t *latencies = calloc(clients_count * count, sizeof(uint64_t));
  raise_descriptor_limit();
  for (int i = 0; i < clients_count; i++) {
    clients[i] = (struct client){.number = i, .uid = atoi(argv[4]) + i, .latencies = latencies + i * count};
    clients[i].namespaces = calloc(count, sizeof(int));
    for (int j = 0; j < count; j++) clients[i].namespaces[j] = make_namespace(clients[i].uid);
  }
  pthread_barrier_init(&start, NULL, clients_count + 1);
  for (int i = 0; i < clients_count; i++)
    if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) die("pthread_create");
  pthread_barrier_wait(&start);
  int64_t began = now_ns();
  for (int i = 0; i < clients_count; i++) pthread_join(clients[i].thread, NULL);
  double seconds = (now_ns() - began) / 1e9;
  int total = clients_count * count;
  qsort(latencies, total, sizeof(uint64_t), ascending);
  printf("{\"calls\":%d,\"seconds\":%.6f,\"median\":%.1f,\"p99\":%.1f,\"retries\":%d}\n", total, seconds,
         latencies[total / 2] / 1e3, latencies[total * 99 / 100] / 1e3, retries);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
