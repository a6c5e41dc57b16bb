/*
 * sd-event WORK EVENTS [WIDTH]
 *
 * The peer of the programs in ours/: the same works on libsystemd's sd-event. Warms up with a tenth of EVENTS, then
 * prints one JSON object, as meter.ts does.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#define SIGNAL (SIGRTMIN + 18)
#define ACCURACY 1000 /* µs, the same as ours */
#define HOUR UINT64_C(3600000000)

extern char **environ;

static sd_event *loop;
static long events, width;

static void check(int result, const char *what) {
  if (result >= 0) return;
  fprintf(stderr, "%s: %s\n", what, strerror(-result));
  exit(1);
}

static void *array(size_t count, size_t size) {
  void *memory = calloc(count, size);
  if (memory == NULL) check(-ENOMEM, "calloc");
  return memory;
}

static double wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- the meter --- */

static double began, began_cpu;
static long left;
static int measuring;

static void start(void) {
  began_cpu = cpu();
  began = wall();
}

static void print(void) {
  double seconds = wall() - began;
  printf("{\"events\":%ld,\"seconds\":%.9f,\"cpu\":%.6f}\n", events, seconds, cpu() - began_cpu);
}

/* Counts an event of a work that goes on and on: first those to warm up, then those that are measured. */
static void tick(void) {
  if (--left > 0) return;
  if (!measuring) {
    measuring = 1;
    left = events;
    start();
  } else {
    print();
    check(sd_event_exit(loop, 0), "sd_event_exit");
  }
}

static void run_with_ticks(void) {
  left = events / 10;
  check(sd_event_loop(loop), "sd_event_loop");
}

/* Runs a round of a work that has an end: first a small one to warm up, then that which is measured; each in a new loop. */
static void run_rounds(void (*round)(long count)) {
  for (int small = 1; small >= 0; small--) {
    sd_event_unref(loop);
    check(sd_event_new(&loop), "sd_event_new");
    start();
    round(small ? events / 10 : events);
  }
  print();
}

/* --- defer, post --- */

static int on_defer(sd_event_source *source, void *data) {
  (void)source, (void)data;
  tick();
  return 0;
}

static int on_other(sd_event_source *source, void *data) {
  (void)source, (void)data;
  return 0;
}

static void add_always(sd_event_handler_t handler) {
  sd_event_source *source;
  check(sd_event_add_defer(loop, &source, handler, NULL), "sd_event_add_defer");
  check(sd_event_source_set_enabled(source, SD_EVENT_ON), "sd_event_source_set_enabled");
}

static void defer(void) {
  for (long i = 0; i < width; i++) add_always(on_defer);
  run_with_ticks();
}

static void post(void) {
  sd_event_source *source;
  add_always(on_other);
  check(sd_event_add_post(loop, &source, on_defer, NULL), "sd_event_add_post");
  /* At the priority of the defer source it would never have its turn. */
  check(sd_event_source_set_priority(source, -1), "sd_event_source_set_priority");
  run_with_ticks();
}

/* --- io --- */

static int *fds;

static void add(int fd) {
  uint64_t one = 1;
  if (write(fd, &one, sizeof(one)) < 0) check(-errno, "write");
}

static void take(int fd) {
  uint64_t value;
  if (read(fd, &value, sizeof(value)) < 0) check(-errno, "read");
}

static void make_eventfds(void) {
  fds = array(width, sizeof(int));
  for (long i = 0; i < width; i++)
    if ((fds[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0) check(-errno, "eventfd");
}

static void watch_eventfds(sd_event_io_handler_t handler) {
  make_eventfds();
  for (long i = 0; i < width; i++)
    check(sd_event_add_io(loop, NULL, fds[i], EPOLLIN, handler, NULL), "sd_event_add_io");
}

static int on_own(sd_event_source *source, int fd, uint32_t revents, void *data) {
  (void)source, (void)revents, (void)data;
  take(fd);
  add(fd);
  tick();
  return 0;
}

/* The first of the eventfds; the others are idle. */
static void io(void) {
  watch_eventfds(on_own);
  add(fds[0]);
  run_with_ticks();
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *data) {
  static long ready;
  (void)source, (void)revents, (void)data;
  take(fd);
  if (++ready == width) {
    ready = 0;
    for (long i = 0; i < width; i++) add(fds[i]);
  }
  tick();
  return 0;
}

/* All of them at once, again when all have been read. */
static void ready(void) {
  watch_eventfds(on_ready);
  for (long i = 0; i < width; i++) add(fds[i]);
  run_with_ticks();
}

/* --- timers --- */

static sd_event_source **sources;

static sd_event_source *add_timer(uint64_t after, sd_event_time_handler_t handler) {
  sd_event_source *source;
  check(sd_event_add_time_relative(loop, &source, CLOCK_MONOTONIC, after, ACCURACY, handler, NULL), "sd_event_add_time");
  return source;
}

/* Times that are evenly spread over 200 ms but come in no order; in µs. */
static uint64_t spread(long i) { return (uint64_t)i * 7919 % 200000; }

static int on_elapsed(sd_event_source *source, uint64_t usec, void *data) {
  (void)usec, (void)data;
  sd_event_source_unref(source);
  if (--left == 0) check(sd_event_exit(loop, 0), "sd_event_exit");
  return 0;
}

static void elapse(long count) {
  left = count;
  for (long i = 0; i < count; i++) add_timer(spread(i), on_elapsed);
  check(sd_event_loop(loop), "sd_event_loop");
}

static int on_never(sd_event_source *source, uint64_t usec, void *data) {
  (void)source, (void)usec, (void)data;
  abort();
}

static int on_cancel(sd_event_source *source, void *data) {
  sd_event_source_unref(source);
  for (long i = 0; i < *(long *)data; i++) sd_event_source_unref(sources[i]);
  check(sd_event_exit(loop, 0), "sd_event_exit");
  return 0;
}

static int on_set(sd_event_source *source, void *data) {
  sd_event_source_unref(source);
  for (long i = 0; i < *(long *)data; i++) sources[i] = add_timer(HOUR + spread(i), on_never);
  check(sd_event_add_defer(loop, &source, on_cancel, data), "sd_event_add_defer");
  return 0;
}

/* Set in one iteration, cancelled in the next. */
static void cancel(long count) {
  sd_event_source *source;
  free(sources);
  sources = array(count, sizeof(sd_event_source *));
  check(sd_event_add_defer(loop, &source, on_set, &count), "sd_event_add_defer");
  check(sd_event_loop(loop), "sd_event_loop");
}

static int on_again(sd_event_source *source, uint64_t usec, void *data) {
  (void)usec, (void)data;
  check(sd_event_source_set_time_relative(source, 0), "sd_event_source_set_time_relative");
  check(sd_event_source_set_enabled(source, SD_EVENT_ONESHOT), "sd_event_source_set_enabled");
  tick();
  return 0;
}

/* One that is due at once and to the microsecond, again and again; the others are idle. */
static void timer(void) {
  for (long i = 1; i < width; i++) add_timer(HOUR + spread(i), on_never);
  check(sd_event_source_set_time_accuracy(add_timer(0, on_again), 1), "sd_event_source_set_time_accuracy");
  run_with_ticks();
}

/* --- signals --- */

static void queue(long count) {
  for (long i = 0; i < count; i++)
    if (sigqueue(getpid(), SIGNAL, (union sigval){.sival_int = i}) != 0) check(-errno, "sigqueue");
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *data) {
  static long received;
  (void)source, (void)info, (void)data;
  if (++received == width) {
    received = 0;
    queue(width);
  }
  tick();
  return 0;
}

static void block(int signo) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signo);
  sigprocmask(SIG_BLOCK, &set, NULL);
}

static void signals(void) {
  block(SIGNAL);
  check(sd_event_add_signal(loop, NULL, SIGNAL, on_signal, NULL), "sd_event_add_signal");
  queue(width);
  run_with_ticks();
}

/* --- children --- */

static posix_spawnattr_t attributes;

static void spawn_true(void);

static int on_child(sd_event_source *source, const siginfo_t *info, void *data) {
  (void)data;
  if (info->si_code != CLD_EXITED || info->si_status != 0) check(-ECHILD, "/bin/true");
  sd_event_source_unref(source);
  spawn_true();
  tick();
  return 0;
}

static void spawn_true(void) {
  sd_event_source *source;
  pid_t pid;
  check(-posix_spawn(&pid, "/bin/true", NULL, &attributes, (char *[]){"true", NULL}, environ), "posix_spawn");
  check(sd_event_add_child(loop, &source, pid, WEXITED, on_child, NULL), "sd_event_add_child");
}

/* WIDTH at a time. */
static void children(void) {
  sigset_t none;
  sigemptyset(&none);
  block(SIGCHLD); /* sd_event_add_child(3) asks for it; the children shall not have it blocked */
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  for (long i = 0; i < width; i++) spawn_true();
  run_with_ticks();
}

/* --- sources --- */

static const char *kind;

static sd_event_source *add_idle(long i) {
  sd_event_source *source;
  if (strcmp(kind, "time") == 0) return add_timer(HOUR + spread(i), on_never);
  if (strcmp(kind, "io") == 0) check(sd_event_add_io(loop, &source, fds[i], EPOLLIN, on_own, NULL), "sd_event_add_io");
  else check(sd_event_add_defer(loop, &source, on_defer, NULL), "sd_event_add_defer");
  return source;
}

/* Adds the last of WIDTH sources and removes it, again and again. */
static void add_remove(void) {
  if (strcmp(kind, "io") == 0) make_eventfds();
  for (long i = 1; i < width; i++) add_idle(i);
  for (long count = events / 10; count <= events; count += events - events / 10) {
    start();
    for (long i = 0; i < count; i++) sd_event_source_unref(add_idle(strcmp(kind, "io") == 0 ? 0 : i));
  }
  print();
}

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  const char *work = argv[1];
  events = atol(argv[2]);
  width = argc > 3 ? atol(argv[3]) : 1;
  /* As Node does at its start. */
  struct rlimit files;
  getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  setrlimit(RLIMIT_NOFILE, &files);
  check(sd_event_new(&loop), "sd_event_new");

  if (strcmp(work, "defer") == 0) defer();
  else if (strcmp(work, "post") == 0) post();
  else if (strcmp(work, "io") == 0) io();
  else if (strcmp(work, "ready") == 0) ready();
  else if (strcmp(work, "elapse") == 0) run_rounds(elapse);
  else if (strcmp(work, "cancel") == 0) run_rounds(cancel);
  else if (strcmp(work, "timer") == 0) timer();
  else if (strcmp(work, "signals") == 0) signals();
  else if (strcmp(work, "children") == 0) children();
  else if (strncmp(work, "add-", 4) == 0) kind = work + 4, add_remove();
  else return 2;
  return 0;
}
