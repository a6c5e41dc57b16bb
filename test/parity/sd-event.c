/*
 * Interprets scenarios (scenarios/README.md) with libsystemd's sd-event, as interpreter.ts does with ours: reads one after the
 * other from standard input, and answers each with its trace. A statement that it does not understand ends it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-event.h>
#include <time.h>
#include <unistd.h>

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))
#define MAX_LINES 1024
#define MAX_WORDS 16
#define MAX_THINGS 64
#define MAX_TRACE 1000

/* Newer than libsystemd 252: absent functions are null. */
__attribute__((weak)) int sd_event_add_memory_pressure(sd_event *e, sd_event_source **ret, sd_event_handler_t handler,
                                                       void *userdata);
__attribute__((weak)) int sd_event_source_leave_ratelimit(sd_event_source *s);

static void fatal(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

static void fatal(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  fputs("sd-event: ", stderr);
  vfprintf(stderr, format, arguments);
  fputc('\n', stderr);
  va_end(arguments);
  exit(2);
}

/** Ends the program when a call that can't fail did. */
static int check(int result, const char *what) {
  if (result < 0) fatal("%s: %s", what, strerror(errno));
  return result;
}

/* Names of numbers */

struct name {
  const char *name;
  unsigned number;
};

static const struct name epoll_names[] = {
    {"in", EPOLLIN},     {"pri", EPOLLPRI},     {"out", EPOLLOUT}, {"err", EPOLLERR},
    {"hup", EPOLLHUP},   {"rdhup", EPOLLRDHUP}, {"et", EPOLLET},   {"oneshot", EPOLLONESHOT},
    {"none", 0},
};

static const struct name inotify_names[] = {
    {"access", IN_ACCESS},
    {"modify", IN_MODIFY},
    {"attrib", IN_ATTRIB},
    {"close-write", IN_CLOSE_WRITE},
    {"close-nowrite", IN_CLOSE_NOWRITE},
    {"open", IN_OPEN},
    {"moved-from", IN_MOVED_FROM},
    {"moved-to", IN_MOVED_TO},
    {"create", IN_CREATE},
    {"delete", IN_DELETE},
    {"delete-self", IN_DELETE_SELF},
    {"move-self", IN_MOVE_SELF},
    {"unmount", IN_UNMOUNT},
    {"overflow", IN_Q_OVERFLOW},
    {"ignored", IN_IGNORED},
    {"isdir", IN_ISDIR},
    {"oneshot", IN_ONESHOT},
    {"excl-unlink", IN_EXCL_UNLINK},
    {"onlydir", IN_ONLYDIR},
};

static const struct name child_names[] = {{"exited", WEXITED}, {"stopped", WSTOPPED}, {"continued", WCONTINUED}};

static const struct name signal_names[] = {
    {"SIGHUP", SIGHUP},   {"SIGINT", SIGINT},   {"SIGKILL", SIGKILL}, {"SIGTERM", SIGTERM},   {"SIGUSR1", SIGUSR1},
    {"SIGUSR2", SIGUSR2}, {"SIGCHLD", SIGCHLD}, {"SIGCONT", SIGCONT}, {"SIGWINCH", SIGWINCH}, {"SIGSTOP", SIGSTOP},
};

static const struct name clock_names[] = {
    {"realtime", CLOCK_REALTIME},
    {"monotonic", CLOCK_MONOTONIC},
    {"boottime", CLOCK_BOOTTIME},
    {"realtime-alarm", CLOCK_REALTIME_ALARM},
    {"boottime-alarm", CLOCK_BOOTTIME_ALARM},
};

static unsigned number_of(const struct name *names, size_t count, const char *name) {
  for (size_t i = 0; i < count; i++)
    if (strcmp(names[i].name, name) == 0) return names[i].number;
  fatal("no number has the name %s", name);
}

/** The union of names with commas between them. */
static unsigned mask_of(const struct name *names, size_t count, const char *list) {
  char copy[256];
  unsigned mask = 0;
  snprintf(copy, sizeof(copy), "%s", list);
  for (char *rest = copy, *name; (name = strsep(&rest, ",")) != NULL;) mask |= number_of(names, count, name);
  return mask;
}

static const char *mask_names(const struct name *names, size_t count, unsigned mask) {
  static char list[256];
  list[0] = '\0';
  for (size_t i = 0; i < count; i++) {
    if ((mask & names[i].number) == 0) continue;
    if (list[0] != '\0') strcat(list, ",");
    strcat(list, names[i].name);
    mask &= ~names[i].number;
  }
  if (mask != 0) fatal("no bits of the mask %x have a name", mask);
  return list;
}

static int signal_of(const char *name) {
  if (strncmp(name, "SIGRTMIN+", 9) == 0) return SIGRTMIN + atoi(name + 9);
  return (int)number_of(signal_names, LENGTH(signal_names), name);
}

static const char *signal_name(int signo) {
  static char name[16];
  for (size_t i = 0; i < LENGTH(signal_names); i++)
    if (signal_names[i].number == (unsigned)signo) return signal_names[i].name;
  snprintf(name, sizeof(name), "SIGRTMIN+%d", signo - SIGRTMIN);
  return name;
}

/* The scenario that is running */

struct words {
  char text[512];
  int count;
  char *word[MAX_WORDS];
};

struct fd {
  char name[32];
  int fd;
};

struct process {
  char name[32];
  pid_t pid;
  int input; /* at whose end it ends */
};

struct source {
  char name[32];
  char kind[16];
  sd_event_source *source;
  int64_t priority; /* as the scenario says */
  int enabled;
  uint64_t interval, burst, every, after;
  bool absolute, failure, own;
  unsigned dispatched, prepared, expired;
  /* To notice ties, which sd-event decides arbitrarily: */
  bool pending;
  uint64_t since;
};

static sd_event *event;
static char line[MAX_LINES][512];
static int lines;
static struct fd fds[MAX_THINGS];
static struct process processes[MAX_THINGS];
static struct source sources[MAX_THINGS];
static size_t fd_count, process_count, source_count;
static uint32_t cookies[MAX_THINGS];
static size_t cookie_count;
static int traced;
static bool failed;
static int second_run;
static sigset_t raised; /* and not dispatched yet */
static bool tie;
static bool unsupported; /* The scenario needs a newer libsystemd. */

static void trace(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void trace(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vprintf(format, arguments);
  va_end(arguments);
  putchar('\n');
  /* A scenario that does not end by itself. */
  if (++traced == MAX_TRACE) sd_event_exit(event, 125);
}

static void give_up(const char *statement) {
  trace("unsupported %s", statement);
  unsupported = true;
  sd_event_exit(event, 0);
}

static const char *error_name(int error) {
  const char *name = strerrorname_np(-error);
  return name == NULL ? "unknown" : name;
}

static struct words split(const char *text) {
  struct words words = {.count = 0};
  snprintf(words.text, sizeof(words.text), "%s", text);
  return words;
}

/** Fills `word`, which points into `text` and therefore is of no use in a copy. */
static void find_words(struct words *words) {
  char *rest = words->text, *word;
  while ((word = strsep(&rest, " ")) != NULL) {
    if (*word == '\0') continue;
    if (words->count == MAX_WORDS) fatal("too many words");
    words->word[words->count++] = word;
  }
}

/** The n-th word of a statement, which must be there. */
static const char *need(const struct words *words, int index) {
  if (index >= words->count) fatal("%s: a word is missing", words->word[0]);
  return words->word[index];
}

/** The value of an option NAME=VALUE, or NULL. */
static const char *option(const struct words *words, const char *name) {
  size_t length = strlen(name);
  for (int i = 1; i < words->count; i++)
    if (strncmp(words->word[i], name, length) == 0 && words->word[i][length] == '=') return words->word[i] + length + 1;
  return NULL;
}

static bool flag(const struct words *words, const char *name) {
  for (int i = 1; i < words->count; i++)
    if (strcmp(words->word[i], name) == 0) return true;
  return false;
}

static uint64_t microseconds(const char *milliseconds) { return (uint64_t)(atof(milliseconds) * 1000); }

static void add_fd(const char *name, int fd) {
  if (fd_count == LENGTH(fds)) fatal("too many descriptors");
  struct fd *added = &fds[fd_count++];
  snprintf(added->name, sizeof(added->name), "%s", name);
  added->fd = fd;
}

static struct fd *find_fd(const char *name) {
  for (size_t i = fd_count; i-- > 0;)
    if (strcmp(fds[i].name, name) == 0) return &fds[i];
  fatal("no descriptor has the name %s", name);
}

static struct process *find_process(const char *name) {
  for (size_t i = process_count; i-- > 0;)
    if (strcmp(processes[i].name, name) == 0) return &processes[i];
  fatal("no process has the name %s", name);
}

static struct source *find_source(const char *name) {
  for (size_t i = 0; i < source_count; i++)
    if (strcmp(sources[i].name, name) == 0) return &sources[i];
  return NULL;
}

static struct source *need_source(const char *name) {
  struct source *source = find_source(name);
  if (source == NULL) fatal("no source has the name %s", name);
  return source;
}

static void execute(const char *statement);

/** Executes the statements of lines `HOOK NAME nth ...` and `HOOK NAME * ...`. */
static void run_hooks(const char *hook, const char *name, unsigned nth) {
  for (int i = 0; i < lines; i++) {
    char verb[32], of[32], when[32];
    int rest = 0;
    if (sscanf(line[i], "%31s %31s %31s %n", verb, of, when, &rest) != 3 || rest == 0) continue;
    if (strcmp(verb, hook) != 0 || strcmp(of, name) != 0) continue;
    if (strcmp(when, "*") == 0 || (unsigned)atoi(when) == nth) execute(line[i] + rest);
  }
}

static bool has_hook(const char *hook, const char *name) {
  for (int i = 0; i < lines; i++) {
    char verb[32], of[32];
    if (sscanf(line[i], "%31s %31s", verb, of) == 2 && strcmp(verb, hook) == 0 && strcmp(of, name) == 0) return true;
  }
  return false;
}

/* What sd-event calls */

/** Does what the scenario says for this dispatch of a source, whose trace was printed. */
static int dispatched(struct source *source) {
  char name[32];
  snprintf(name, sizeof(name), "%s", source->name);
  failed = false;
  run_hooks("when", name, ++source->dispatched);
  return failed ? -EIO : 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata) {
  struct source *source = userdata;
  (void)s, (void)fd;
  trace("io %s %s", source->name, mask_names(epoll_names, LENGTH(epoll_names), revents));
  return dispatched(source);
}

static uint64_t clock_now(clockid_t clock) {
  struct timespec now;
  check(clock_gettime(clock, &now), "clock_gettime");
  return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int on_time(sd_event_source *s, uint64_t scheduled, void *userdata) {
  struct source *source = userdata;
  clockid_t clock;
  sd_event_source_get_time_clock(s, &clock);
  const char *early = clock_now(clock) < scheduled ? " early" : "";
  if (source->absolute) trace("time %s at %llu%s", source->name, (unsigned long long)scheduled / 1000, early);
  else trace("time %s%s", source->name, early);
  int result = dispatched(source);
  if (source->every != 0 && source->source == s && source->enabled == SD_EVENT_ON) {
    uint64_t now = clock_now(clock);
    uint64_t next = scheduled + source->every;
    if (next <= now) next += (now - next) / source->every * source->every + source->every;
    sd_event_source_set_time(s, next);
  }
  return result;
}

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata) {
  struct source *source = userdata;
  (void)s;
  sigdelset(&raised, (int)info->ssi_signo);
  trace("signal %s %s %s value %d%s", source->name, signal_name((int)info->ssi_signo),
        info->ssi_code == SI_USER ? "sent" : "queued", info->ssi_int, info->ssi_pid == (uint32_t)getpid() ? "" : " of another");
  return dispatched(source);
}

static int on_child(sd_event_source *s, const siginfo_t *info, void *userdata) {
  static const char *const codes[] = {
      [CLD_EXITED] = "exited",   [CLD_KILLED] = "killed",   [CLD_DUMPED] = "dumped",
      [CLD_TRAPPED] = "trapped", [CLD_STOPPED] = "stopped", [CLD_CONTINUED] = "continued",
  };
  struct source *source = userdata;
  (void)s;
  if (info->si_code == CLD_EXITED) trace("child %s exited %d", source->name, info->si_status);
  else trace("child %s %s %s", source->name, codes[info->si_code], signal_name(info->si_status));
  return dispatched(source);
}

static int cookie_number(uint32_t cookie) {
  for (size_t i = 0; i < cookie_count; i++)
    if (cookies[i] == cookie) return (int)i + 1;
  if (cookie_count == LENGTH(cookies)) fatal("too many cookies");
  cookies[cookie_count++] = cookie;
  return (int)cookie_count;
}

static int on_inotify(sd_event_source *s, const struct inotify_event *happened, void *userdata) {
  struct source *source = userdata;
  char cookie[32] = "";
  (void)s;
  if (happened->cookie != 0) snprintf(cookie, sizeof(cookie), " cookie %d", cookie_number(happened->cookie));
  trace("inotify %s %s%s%s%s", source->name, mask_names(inotify_names, LENGTH(inotify_names), happened->mask),
        happened->len > 0 ? " " : "", happened->len > 0 ? happened->name : "", cookie);
  return dispatched(source);
}

static int on_static(sd_event_source *s, void *userdata) {
  struct source *source = userdata;
  (void)s;
  trace("%s %s", source->kind, source->name);
  return dispatched(source);
}

static int on_prepare(sd_event_source *s, void *userdata) {
  struct source *source = userdata;
  (void)s;
  failed = false;
  trace("prepare %s", source->name);
  run_hooks("prepare", source->name, ++source->prepared);
  return failed ? -EIO : 0;
}

static int on_expire(sd_event_source *s, void *userdata) {
  struct source *source = userdata;
  (void)s;
  failed = false;
  trace("expire %s", source->name);
  run_hooks("expire", source->name, ++source->expired);
  return failed ? -EIO : 0;
}

/* Statements: sources */

/** Adds a source of the kind that the first word names. */
static int add(struct source *source, const struct words *words) {
  const char *kind = words->word[0];
  sd_event_source **result = &source->source;

  if (strcmp(kind, "io") == 0) {
    uint32_t events = mask_of(epoll_names, LENGTH(epoll_names), need(words, 3));
    return sd_event_add_io(event, result, find_fd(need(words, 2))->fd, events, on_io, source);
  }
  if (strcmp(kind, "time") == 0) {
    clockid_t clock = (clockid_t)number_of(clock_names, LENGTH(clock_names), need(words, 2));
    source->absolute = strcmp(need(words, 3), "at") == 0;
    uint64_t time = microseconds(need(words, 4));
    uint64_t accuracy = option(words, "accuracy") ? microseconds(option(words, "accuracy")) : 1000;
    if (source->absolute) return sd_event_add_time(event, result, clock, time, accuracy, on_time, source);
    source->after = time;
    return sd_event_add_time_relative(event, result, clock, time, accuracy, on_time, source);
  }
  if (strcmp(kind, "signal") == 0) return sd_event_add_signal(event, result, signal_of(need(words, 2)), on_signal, source);
  if (strcmp(kind, "child") == 0) {
    int changes = (int)mask_of(child_names, LENGTH(child_names), need(words, 3));
    return sd_event_add_child(event, result, find_process(need(words, 2))->pid, changes, on_child, source);
  }
  if (strcmp(kind, "inotify") == 0) {
    uint32_t mask = mask_of(inotify_names, LENGTH(inotify_names), need(words, 3));
    return sd_event_add_inotify(event, result, need(words, 2), mask, on_inotify, source);
  }
  if (strcmp(kind, "defer") == 0) return sd_event_add_defer(event, result, on_static, source);
  if (strcmp(kind, "post") == 0) return sd_event_add_post(event, result, on_static, source);
  if (strcmp(kind, "exiting") == 0) return sd_event_add_exit(event, result, on_static, source);
  if (strcmp(kind, "pressure") == 0) {
    if (!sd_event_add_memory_pressure) return -ENOSYS;
    return sd_event_add_memory_pressure(event, result, on_static, source);
  }
  fatal("there is no statement %s", kind);
}

static int mode_of(const char *word) {
  static const struct name modes[] = {{"off", 0}, {"on", 1}, {"oneshot", 2}};
  int number = (int)number_of(modes, LENGTH(modes), word);
  return number == 2 ? SD_EVENT_ONESHOT : number;
}

static void remove_source(struct source *source) { source->source = sd_event_source_disable_unref(source->source); }

/** `KIND NAME ...`: a source that had the name is replaced. */
static void add_source(const struct words *words) {
  const char *name = need(words, 1);
  struct source *source = find_source(name);
  if (source == NULL) {
    if (source_count == LENGTH(sources)) fatal("too many sources");
    source = &sources[source_count++];
  }
  remove_source(source);
  *source = (struct source){.enabled = -2, .dispatched = source->dispatched};
  snprintf(source->name, sizeof(source->name), "%s", name);
  snprintf(source->kind, sizeof(source->kind), "%s", words->word[0]);

  int result = add(source, words);
  if (result == -ENOSYS) {
    give_up(words->word[0]);
    return;
  }
  if (result < 0) {
    trace("error %s %s", name, error_name(result));
    return;
  }
  sd_event_source *s = source->source;
  const char *priority = option(words, "priority"), *enabled = option(words, "enabled");
  const char *ratelimit = option(words, "ratelimit"), *every = option(words, "every");
  sd_event_source_get_enabled(s, &source->enabled);
  if (priority) check(sd_event_source_set_priority(s, atoll(priority)), "set_priority");
  if (every) {
    source->every = microseconds(every);
    source->enabled = SD_EVENT_ON;
  }
  if (enabled) source->enabled = mode_of(enabled);
  check(sd_event_source_set_enabled(s, source->enabled), "set_enabled");
  if (ratelimit) {
    source->interval = microseconds(ratelimit);
    source->burst = strtoul(strchr(ratelimit, ',') + 1, NULL, 10);
    check(sd_event_source_set_ratelimit(s, source->interval, (unsigned)source->burst), "set_ratelimit");
    check(sd_event_source_set_ratelimit_expire_callback(s, on_expire), "set_ratelimit_expire_callback");
  }
  if (has_hook("prepare", name)) check(sd_event_source_set_prepare(s, on_prepare), "set_prepare");
  if (flag(words, "failure")) check(sd_event_source_set_exit_on_failure(s, true), "set_exit_on_failure");
  if (flag(words, "own")) {
    if (strcmp(source->kind, "io") == 0) check(sd_event_source_set_io_fd_own(s, true), "set_io_fd_own");
    else check(sd_event_source_set_child_process_own(s, true), "set_child_process_own");
  }
}

/** Turned off and on again, a source is as good as new: here without what still waits for it, with a fresh rate limit. */
static void enable(struct source *source, int enabled) {
  sd_event_source *s = source->source;
  if (s == NULL) return;
  source->enabled = enabled;
  check(sd_event_source_set_enabled(s, SD_EVENT_OFF), "set_enabled");
  if (enabled == SD_EVENT_OFF) return;
  if (source->interval > 0) sd_event_source_set_ratelimit(s, source->interval, (unsigned)source->burst);
  if (source->after > 0) sd_event_source_set_time_relative(s, source->after);
  check(sd_event_source_set_enabled(s, enabled), "set_enabled");
}

static bool execute_on_source(const struct words *words) {
  const char *verb = words->word[0];
  if (strcmp(verb, "remove") == 0) {
    remove_source(need_source(need(words, 1)));
  } else if (strcmp(verb, "enable") == 0) {
    enable(need_source(need(words, 1)), mode_of(need(words, 2)));
  } else if (strcmp(verb, "priority") == 0) {
    sd_event_source *s = need_source(need(words, 1))->source;
    if (s != NULL) check(sd_event_source_set_priority(s, atoll(need(words, 2))), "set_priority");
  } else if (strcmp(verb, "events") == 0) {
    uint32_t events = mask_of(epoll_names, LENGTH(epoll_names), need(words, 2));
    sd_event_source *s = need_source(need(words, 1))->source;
    if (s != NULL) check(sd_event_source_set_io_events(s, events), "set_io_events");
  } else if (strcmp(verb, "leave") == 0) {
    sd_event_source *s = need_source(need(words, 1))->source;
    if (!sd_event_source_leave_ratelimit) give_up("leave");
    else if (s != NULL) sd_event_source_leave_ratelimit(s);
  } else {
    return false;
  }
  return true;
}

/* Statements: the loop */

static const char *state_name(void) {
  static const char *const names[] = {
      [SD_EVENT_INITIAL] = "initial", [SD_EVENT_PREPARING] = "preparing", [SD_EVENT_ARMED] = "armed",
      [SD_EVENT_PENDING] = "pending", [SD_EVENT_RUNNING] = "running",     [SD_EVENT_EXITING] = "exiting",
      [SD_EVENT_FINISHED] = "finished",
  };
  return names[sd_event_get_state(event)];
}

/** Whether the loop's time stands still while the clock goes on. */
static bool now_is_constant(clockid_t clock) {
  uint64_t before, after;
  check(sd_event_now(event, clock, &before), "sd_event_now");
  for (uint64_t start = clock_now(clock); clock_now(clock) <= start + 1000;);
  check(sd_event_now(event, clock, &after), "sd_event_now");
  return before == after;
}

static bool execute_on_loop(const struct words *words) {
  const char *verb = words->word[0];
  if (strcmp(verb, "exit") == 0) {
    int result = sd_event_exit(event, atoi(need(words, 1)));
    if (result < 0) trace("exit %s", error_name(result));
  } else if (strcmp(verb, "fail") == 0) {
    failed = true;
  } else if (strcmp(verb, "print") == 0) {
    trace("%s", need(words, 1));
  } else if (strcmp(verb, "state") == 0) {
    trace("state %s", state_name());
  } else if (strcmp(verb, "iteration") == 0) {
    uint64_t iteration;
    check(sd_event_get_iteration(event, &iteration), "sd_event_get_iteration");
    trace("iteration %llu", (unsigned long long)iteration);
  } else if (strcmp(verb, "now") == 0) {
    clockid_t clock = (clockid_t)number_of(clock_names, LENGTH(clock_names), need(words, 1));
    trace("now %s", now_is_constant(clock) ? "stands still" : "goes on");
  } else if (strcmp(verb, "run") == 0) {
    second_run = sd_event_loop(event);
  } else if (strcmp(verb, "watchdog") == 0) {
    check(sd_event_set_watchdog(event, true), "sd_event_set_watchdog");
  } else if (strcmp(verb, "exit-on-signal") == 0) {
    check(sd_event_set_signal_exit(event, true), "sd_event_set_signal_exit");
  } else {
    return false;
  }
  return true;
}

/* Statements: the world */

static int bound_socket(const char *path, int type) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
  int fd = check(socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), "socket");
  check(bind(fd, (const struct sockaddr *)&address, sizeof(address)), "bind");
  return fd;
}

/** An absolute path for one that begins with `./`. */
static const char *absolute(const char *value) {
  static char path[512];
  char folder[256];
  if (strncmp(value, "./", 2) != 0) return value;
  if (getcwd(folder, sizeof(folder)) == NULL) fatal("getcwd");
  snprintf(path, sizeof(path), "%s/%s", folder, value + 2);
  return path;
}

static bool execute_on_descriptors(const struct words *words) {
  const char *verb = words->word[0];
  if (strcmp(verb, "eventfd") == 0) {
    add_fd(need(words, 1), check(eventfd((unsigned)atoi(need(words, 2)), EFD_NONBLOCK | EFD_CLOEXEC), "eventfd"));
  } else if (strcmp(verb, "sockets") == 0) {
    int pair[2];
    check(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), "socketpair");
    add_fd(need(words, 1), pair[0]);
    add_fd(need(words, 2), pair[1]);
  } else if (strcmp(verb, "fifo") == 0) {
    check(mkfifo(need(words, 2), 0600), "mkfifo");
    add_fd(need(words, 1), check(open(need(words, 2), O_RDWR | O_NONBLOCK | O_CLOEXEC), "open"));
  } else if (strcmp(verb, "file") == 0) {
    add_fd(need(words, 1), check(open(need(words, 2), O_RDWR | O_CREAT | O_CLOEXEC, 0600), "open"));
  } else if (strcmp(verb, "listen") == 0) {
    int fd = bound_socket(need(words, 2), SOCK_STREAM);
    check(listen(fd, 8), "listen");
    add_fd(need(words, 1), fd);
  } else if (strcmp(verb, "accept") == 0) {
    add_fd(need(words, 1), check(accept4(find_fd(need(words, 2))->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
  } else if (strcmp(verb, "manager") == 0) {
    add_fd(need(words, 1), bound_socket("notify", SOCK_DGRAM));
    check(setenv("NOTIFY_SOCKET", absolute("./notify"), 1), "setenv");
  } else if (strcmp(verb, "add") == 0) {
    uint64_t count = strtoull(need(words, 2), NULL, 10);
    check((int)write(find_fd(need(words, 1))->fd, &count, sizeof(count)), "write");
  } else if (strcmp(verb, "take") == 0) {
    uint64_t count = 0;
    if (read(find_fd(need(words, 1))->fd, &count, sizeof(count)) < 0 && errno != EAGAIN) fatal("take: %s", strerror(errno));
  } else if (strcmp(verb, "send") == 0) {
    check((int)write(find_fd(need(words, 1))->fd, need(words, 2), strlen(need(words, 2))), "write");
  } else if (strcmp(verb, "receive") == 0) {
    char buffer[256];
    ssize_t size = read(find_fd(need(words, 1))->fd, buffer, sizeof(buffer));
    if (size < 0) trace("receive %s %s", words->word[1], error_name(-errno));
    else trace("receive %s '%.*s'", words->word[1], (int)size, buffer);
  } else if (strcmp(verb, "close") == 0) {
    struct fd *fd = find_fd(need(words, 1));
    close(fd->fd);
    fd->fd = -1;
  } else if (strcmp(verb, "open") == 0) {
    struct fd *fd = find_fd(need(words, 1));
    bool open = fcntl(fd->fd, F_GETFD) >= 0;
    trace("open %s %s", words->word[1], open ? "yes" : "no");
    if (!open) fd->fd = -1;
  } else {
    return false;
  }
  return true;
}

/** Alternates between two changes, as equal events that follow each other are merged. */
static void overflow(const char *first, const char *second) {
  int limit = 0;
  FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "re");
  if (file == NULL || fscanf(file, "%d", &limit) != 1) fatal("max_queued_events");
  fclose(file);
  for (int i = 0; i <= limit; i++) check(chmod(i % 2 ? first : second, 0600), "chmod");
}

static bool execute_on_files(const struct words *words) {
  const char *verb = words->word[0];
  if (strcmp(verb, "touch") == 0) {
    close(check(open(need(words, 1), O_WRONLY | O_CREAT | O_CLOEXEC, 0600), "open"));
  } else if (strcmp(verb, "mkdir") == 0) {
    check(mkdir(need(words, 1), 0700), "mkdir");
  } else if (strcmp(verb, "rename") == 0) {
    check(rename(need(words, 1), need(words, 2)), "rename");
  } else if (strcmp(verb, "delete") == 0) {
    check(remove(need(words, 1)), "remove");
  } else if (strcmp(verb, "chmod") == 0) {
    check(chmod(need(words, 1), 0600), "chmod");
  } else if (strcmp(verb, "overflow") == 0) {
    overflow(need(words, 1), need(words, 2));
  } else {
    return false;
  }
  return true;
}

/** Starts a shell with all signals at their default, which exits by itself, or waits until somebody ends it, or we end. */
static void start_process(const char *name, const char *command) {
  char script[64] = "exec cat";
  if (strcmp(command, "waiting") != 0) snprintf(script, sizeof(script), "exit %s", command);
  if (process_count == LENGTH(processes)) fatal("too many processes");
  struct process *process = &processes[process_count++];
  snprintf(process->name, sizeof(process->name), "%s", name);
  int input[2];
  check(pipe2(input, O_CLOEXEC), "pipe2");
  process->input = input[1];

  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, input[0], 0);
  posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
  char *arguments[] = {"sh", "-c", script, NULL};
  if (posix_spawn(&process->pid, "/bin/sh", &actions, &attributes, arguments, environ) != 0) fatal("posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(input[0]);
}

/** Waits until a change of a child can be seen, and leaves it to be seen. */
static void await_process(const char *name, const char *change) {
  siginfo_t info;
  int options = (int)number_of(child_names, LENGTH(child_names), change);
  check(waitid(P_PID, (id_t)find_process(name)->pid, &info, options | WNOWAIT), "waitid");
}

static bool execute_on_processes(const struct words *words) {
  const char *verb = words->word[0];
  if (strcmp(verb, "process") == 0) {
    start_process(need(words, 1), need(words, 2));
  } else if (strcmp(verb, "await") == 0) {
    await_process(need(words, 1), need(words, 2));
  } else if (strcmp(verb, "kill") == 0) {
    check(kill(find_process(need(words, 1))->pid, signal_of(need(words, 2))), "kill");
  } else if (strcmp(verb, "alive") == 0) {
    trace("alive %s %s", need(words, 1), kill(find_process(words->word[1])->pid, 0) == 0 ? "yes" : "no");
  } else if (strcmp(verb, "raise") == 0) {
    int signo = signal_of(need(words, 1));
    if (!sigismember(&raised, signo)) check(kill(getpid(), signo), "kill");
    sigaddset(&raised, signo);
  } else if (strcmp(verb, "queue") == 0) {
    union sigval value = {.sival_int = atoi(need(words, 2))};
    check(sigqueue(getpid(), signal_of(need(words, 1)), value), "sigqueue");
  } else if (strcmp(verb, "environment") == 0) {
    check(setenv(need(words, 1), absolute(need(words, 2)), 1), "setenv");
  } else if (strcmp(verb, "sleep") == 0) {
    check(usleep((useconds_t)microseconds(need(words, 1))), "usleep");
  } else {
    return false;
  }
  return true;
}

static void execute(const char *statement) {
  struct words words = split(statement);
  find_words(&words);
  if (words.count == 0 || unsupported) return;
  if (execute_on_source(&words) || execute_on_loop(&words) || execute_on_descriptors(&words) ||
      execute_on_files(&words) || execute_on_processes(&words))
    return;
  add_source(&words);
}

/* The run of a scenario */

/** Notes since when each source is pending. */
static void look_for_pending(void) {
  uint64_t iteration;
  sd_event_get_iteration(event, &iteration);
  for (size_t i = 0; i < source_count; i++) {
    struct source *source = &sources[i];
    bool pending = source->source != NULL && strcmp(source->kind, "exiting") != 0 &&
                   sd_event_source_get_pending(source->source) > 0;
    if (pending && !source->pending) source->since = iteration;
    source->pending = pending;
  }
}

/** Whether it is left to chance which source is dispatched next. */
static bool is_tie(void) {
  int code;
  if (sd_event_get_exit_code(event, &code) >= 0) return false;
  const struct source *first = NULL;
  bool shared = false;
  for (size_t i = 0; i < source_count; i++) {
    struct source *source = &sources[i];
    if (!source->pending || sd_event_source_get_enabled(source->source, NULL) == 0) continue;
    if (sd_event_source_is_ratelimited(source->source) > 0) continue;
    sd_event_source_get_priority(source->source, &source->priority);
    if (first == NULL || source->priority < first->priority ||
        (source->priority == first->priority && source->since < first->since)) {
      first = source;
      shared = false;
    } else if (source->priority == first->priority && source->since == first->since) {
      shared = true;
    }
  }
  return shared;
}

/** sd_event_loop(3), with a look at what is pending before each dispatch. */
static int loop(void) {
  while (sd_event_get_state(event) != SD_EVENT_FINISHED) {
    int ready = sd_event_prepare(event);
    if (ready == 0) ready = sd_event_wait(event, UINT64_MAX);
    if (ready < 0) return ready;
    if (ready == 0) continue;
    look_for_pending();
    if (is_tie()) tie = true;
    int result = sd_event_dispatch(event);
    if (result < 0) return result;
    look_for_pending();
  }
  int code;
  check(sd_event_get_exit_code(event, &code), "sd_event_get_exit_code");
  return code;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *where) {
  (void)info, (void)type, (void)where;
  return remove(path);
}

/** Everything that the scenario left, so that the next one finds nothing of it. */
static void clean_up(void) {
  for (size_t i = 0; i < source_count; i++) remove_source(&sources[i]);
  event = sd_event_unref(event);
  for (size_t i = 0; i < fd_count; i++)
    if (fds[i].fd >= 0) close(fds[i].fd);
  for (size_t i = 0; i < process_count; i++) {
    kill(processes[i].pid, SIGKILL);
    waitpid(processes[i].pid, NULL, 0);
    close(processes[i].input);
  }
  sigset_t all;
  sigfillset(&all);
  struct timespec none = {0};
  while (sigtimedwait(&all, NULL, &none) > 0);
  for (int i = 0; i < lines; i++) {
    char name[64];
    if (sscanf(line[i], "environment %63s", name) == 1) unsetenv(name);
  }
  unsetenv("NOTIFY_SOCKET");
  memset(sources, 0, sizeof(sources));
  sigemptyset(&raised);
  fd_count = process_count = source_count = cookie_count = 0;
  lines = traced = second_run = 0;
  tie = unsupported = false;
}

static void run_scenario(void) {
  char folder[256];
  const char *temporary = getenv("TMPDIR");
  snprintf(folder, sizeof(folder), "%s/sdrx-test-XXXXXX", temporary ? temporary : "/tmp");
  if (mkdtemp(folder) == NULL) fatal("mkdtemp");
  check(chdir(folder), "chdir");
  check(sd_event_new(&event), "sd_event_new");

  static const char *const hooks[] = {"when", "prepare", "expire", "finally"};
  for (int i = 0; i < lines; i++) {
    char verb[32] = "";
    bool hook = sscanf(line[i], "%31s", verb) != 1 || verb[0] == '#';
    for (size_t j = 0; j < LENGTH(hooks); j++) hook = hook || strcmp(verb, hooks[j]) == 0;
    if (!hook) execute(line[i]);
  }
  int code = loop();
  if (code < 0 && sd_event_get_state(event) != SD_EVENT_FINISHED) trace("loop %s", error_name(code));
  else trace("finished %d", code);
  if (second_run < 0) trace("run %s", error_name(second_run));
  for (int i = 0; i < lines; i++)
    if (strncmp(line[i], "finally ", 8) == 0) execute(line[i] + 8);
  if (tie) trace("tie");

  clean_up();
  check(chdir("/"), "chdir");
  nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void) {
  /* So that something is to be seen of a scenario that hangs. */
  setlinebuf(stdout);

  /* As sd_event_add_signal(3) and sd_event_add_child(3) want it. */
  sigset_t blocked;
  sigemptyset(&blocked);
  for (int signo = SIGRTMIN; signo <= SIGRTMAX; signo++) sigaddset(&blocked, signo);
  for (size_t i = 0; i < LENGTH(signal_names); i++) sigaddset(&blocked, (int)signal_names[i].number);
  check(sigprocmask(SIG_BLOCK, &blocked, NULL), "sigprocmask");

  while (lines < MAX_LINES && fgets(line[lines], sizeof(line[lines]), stdin) != NULL) {
    line[lines][strcspn(line[lines], "\n")] = '\0';
    if (strcmp(line[lines], "end") != 0) {
      lines++;
      continue;
    }
    run_scenario();
    puts("end");
  }
  return 0;
}
