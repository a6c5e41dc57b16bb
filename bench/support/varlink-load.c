/*
 * varlink-load SOCKET kept|connect CLIENTS SECONDS CALLS IDLE PAUSE REQUEST EXPECTED
 *
 * CLIENTS threads send REQUEST over and over, each on one connection that it keeps, or on a new one a call, and wait for
 * each reply, which must contain EXPECTED. Before each call they pause for PAUSE milliseconds, which do not count. Ends after SECONDS or, if CALLS is not 0, after that many calls; a call that
 * has no reply after SECONDS ends its thread. First it opens IDLE connections that say nothing. Prints one JSON object,
 * then keeps these open until its input ends.
 */
#include "varlink-client.h"
#include <sys/resource.h>

static const char *path, *request, *expected;
static int kept;
static long max_calls, pause_us;
static int64_t deadline, duration;
static pthread_barrier_t start;

struct client {
  pthread_t thread;
  uint32_t *latencies; /* nanoseconds */
  size_t calls, room;
  long unanswered;
  int64_t ended;
};

static void note(struct client *client, int64_t latency) {
  if (client->calls == client->room) {
    client->room = client->room ? client->room * 2 : 65536;
    client->latencies = realloc(client->latencies, client->room * sizeof(uint32_t));
    if (client->latencies == NULL) die("realloc");
  }
  client->latencies[client->calls++] = latency < UINT32_MAX ? latency : UINT32_MAX;
}

static void *run(void *argument) {
  struct client *client = argument;
  char *reply = malloc(REPLY_SIZE);
  int fd = -1;
  if (kept && (fd = connect_to(path, duration)) < 0) client->unanswered++;
  pthread_barrier_wait(&start);
  while (client->unanswered == 0 && (max_calls == 0 || (long)client->calls < max_calls)) {
    if (pause_us > 0) usleep(pause_us);
    int64_t begin = now_ns();
    if (begin >= deadline) break;
    if (!kept) fd = connect_to(path, duration);
    if (fd < 0 || !call(fd, request, -1, reply)) {
      client->unanswered++;
      break;
    }
    if (strstr(reply, expected) == NULL) {
      fprintf(stderr, "unexpected reply: %s\n", reply);
      exit(1);
    }
    if (!kept) close(fd);
    note(client, now_ns() - begin);
  }
  client->ended = now_ns();
  return NULL;
}

static int ascending(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static double cpu_seconds(const struct rusage *usage) {
  return usage->ru_utime.tv_sec + usage->ru_stime.tv_sec + (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv) {
  if (argc != 10) return 2;
  path = argv[1];
  kept = strcmp(argv[2], "kept") == 0;
  int count = atoi(argv[3]);
  duration = (int64_t)(atof(argv[4]) * 1e9);
  long calls = atol(argv[5]);
  int idle = atoi(argv[6]);
  pause_us = atol(argv[7]) * 1000;
  request = argv[8];
  expected = argv[9];
  max_calls = (calls + count - 1) / count;

  int opened = 0;
  for (deadline = now_ns() + duration; opened < idle; opened++)
    if (connect_to(path, deadline - now_ns()) < 0) break;

  struct client *clients = calloc(count, sizeof(struct client));
  pthread_barrier_init(&start, NULL, count + 1);
  deadline = now_ns() + duration;
  for (int i = 0; i < count; i++)
    if (pthread_create(&clients[i].thread, NULL, run, &clients[i]) != 0) die("pthread_create");
  struct rusage before;
  getrusage(RUSAGE_SELF, &before);
  pthread_barrier_wait(&start);
  int64_t began = now_ns(), ended = began;
  size_t total = 0;
  long unanswered = 0;
  for (int i = 0; i < count; i++) {
    pthread_join(clients[i].thread, NULL);
    total += clients[i].calls;
    unanswered += clients[i].unanswered;
    if (clients[i].ended > ended) ended = clients[i].ended;
  }
  struct rusage after;
  getrusage(RUSAGE_SELF, &after);
  double cpu = cpu_seconds(&after) - cpu_seconds(&before);
  uint32_t *all = malloc((total + 1) * sizeof(uint32_t));
  size_t used = 0;
  for (int i = 0; i < count; i++) {
    if (clients[i].calls > 0) memcpy(all + used, clients[i].latencies, clients[i].calls * sizeof(uint32_t));
    used += clients[i].calls;
  }
  qsort(all, total, sizeof(uint32_t), ascending);
  all[total] = 0;
  printf("{\"calls\":%zu,\"seconds\":%.6f,\"unanswered\":%ld,\"idle\":%d,\"cpu\":%.6f,\"median\":%.1f,\"p99\":%.1f}\n", total,
         (ended - began) / 1e9, unanswered, opened, cpu, all[total / 2] / 1e3, all[total * 99 / 100] / 1e3);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
