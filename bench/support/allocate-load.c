/*
 * allocate-load SOCKET CLIENTS COUNT UID
 *
 * Makes COUNT user namespaces without maps for each of CLIENTS users, from UID on, then lets one thread for each user
 * have its own allocated, one after another on one connection. Prints one JSON object, then holds the namespaces until
 * its input ends. Must be run as root.
 */
#include "namespaces.h"
#include "varlink-client.h"
#include <sys/syscall.h>

static const char *path;
static int count;
static pthread_barrier_t start;

struct client {
  pthread_t thread;
  int number;
  uid_t uid;
  int *namespaces;
  uint32_t *latencies; /* nanoseconds */
};

static void *run(void *argument) {
  struct client *client = argument;
  char request[512];
  char *reply = malloc(REPLY_SIZE);
  /* The system call itself: the C library's function would change all threads. */
  if (syscall(SYS_setresuid, client->uid, client->uid, client->uid) != 0) die("setresuid");
  int fd = connect_to(path, INT64_C(30000000000));
  pthread_barrier_wait(&start);
  for (int i = 0; i < count; i++) {
    snprintf(request, sizeof(request),
             "{\"method\":\"io.systemd.NamespaceResource.AllocateUserRange\",\"parameters\":"
             "{\"name\":\"bench%d-%d\",\"size\":65536,\"userNamespaceFileDescriptor\":0}}",
             client->number, i);
    int64_t begin = now_ns();
    if (fd < 0 || !call(fd, request, client->namespaces[i], reply)) die("no answer within 30 s");
    client->latencies[i] = now_ns() - begin;
    if (strcmp(reply, "{\"parameters\":{}}") != 0) {
      fprintf(stderr, "unexpected reply: %s\n", reply);
      exit(1);
    }
  }
  close(fd);
  return NULL;
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  path = argv[1];
  int clients_count = atoi(argv[2]);
  count = atoi(argv[3]);
  struct client clients[clients_count];
  uint32_t *latencies = calloc(clients_count * count, sizeof(uint32_t));
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
  qsort(latencies, total, sizeof(uint32_t), ascending);
  printf("{\"calls\":%d,\"seconds\":%.6f,\"median\":%.1f,\"p99\":%.1f}\n", total, seconds, latencies[total / 2] / 1e3,
         latencies[total * 99 / 100] / 1e3);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
