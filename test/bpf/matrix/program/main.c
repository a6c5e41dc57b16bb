/*
 * Reads a line, does it, answers with lines of which the last is a single dot. Names have no spaces, "-" stands for none.
 *   user NAME PARENT UIDS GIDS           keeps a user namespace with a mount namespace; answers its process
 *   mount NAME USER KIND UIDS GIDS       makes a mount; of an overlay UIDS is the mount that it is to write to
 *   run UID GID OTHER-UID OTHER-GID MOUNT=ATTEMPT,ATTEMPT...;MOUNT=... STEP STEP...
 *                                        tries these attempts on these mounts in the place that the steps lead to; UID and GID
 *                                        are who acts, as the outside has them, the others ids inside; answers
 *                                        MOUNT ATTEMPT RESULT each, and `left MOUNT PATH UID GID` for what is on them then
 */
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

#include "program.h"

void need(bool failed, const char *what) {
  if (!failed) return;
  fprintf(stderr, "%s: %m\n", what);
  _exit(125);
}

int failure(bool failed) { return failed ? errno : 0; }

int in_child(int (*run)(const void *argument), const void *argument) {
  fflush(stdout);
  pid_t pid = fork();
  need(pid < 0, "fork");
  if (pid == 0) _exit(run(argument));
  int status;
  need(waitpid(pid, &status, 0) != pid, "waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

static const char *result_name(int result) { return result == 0 ? "ok" : strerrorname_np(result) ?: "unknown"; }

static const struct attempt *find_attempt(const char *name) {
  for (const struct attempt *attempt = attempts; attempt->name; attempt++)
    if (strcmp(attempt->name, name) == 0) return attempt;
  return NULL;
}

struct run {
  unsigned uid, gid, other_uid, other_gid;
  /* What is tried on which mount. */
  struct {
    const struct mount *mount;
    char *attempts;
  } parts[MOUNTS];
  int count;
  char *steps;
};

/* In the environment. What is in others' mount namespaces is reached through their processes. */
static void reach(struct place *place, const char *base) {
  struct stat here, there;
  const struct mount *mount = place->mount;
  snprintf(place->path, sizeof(place->path), "%s/%s", base, mount->name);
  if (!mount->user || place->passed < 0 || fstat(place->passed, &there) < 0) return;
  if (stat(place->path, &here) == 0 && here.st_dev == there.st_dev && here.st_ino == there.st_ino) return;
  snprintf(place->path, sizeof(place->path), "/proc/%d/root%s/%s", mount->user->pid, ROOT, mount->name);
}

static void try_all(const struct run *run, int outside) {
  const char *base = ROOT;
  char *saved, received;
  int passed[MOUNTS];
  for (int count = 0; count < MOUNTS && (passed[count] = receive_fd(outside, &received, 1)) != -2 && received;) count++;
  for (char *step = strtok_r(run->steps, " ", &saved); step; step = strtok_r(NULL, " ", &saved)) {
    int result = take_step(step, &base);
    if (result != 0) {
      printf("- %s %s\n", step, result_name(result));
      return;
    }
  }
  umask(0);
  for (int part = 0; part < run->count; part++) {
    struct place place = {.mount = run->parts[part].mount,
                          .passed = passed[part],
                          .base = base,
                          .other_uid = run->other_uid,
                          .other_gid = run->other_gid,
                          .outside = outside};
    reach(&place, base);
    for (char *word = strtok_r(run->parts[part].attempts, ",", &saved); word; word = strtok_r(NULL, ",", &saved)) {
      const struct attempt *attempt = find_attempt(word);
      printf("%s %s %s\n", place.mount->name, word, attempt ? result_name(attempt->try(&place)) : "unknown");
    }
    if (place.passed >= 0) close(place.passed);
  }
}

/* Links what a task inside made without a name; anybody outside could who is let into the folder. */
static int link_sent(int file, int folder) {
  char from[64];
  snprintf(from, sizeof(from), "/proc/self/fd/%d", file);
  return failure(linkat(AT_FDCWD, from, folder, "tmpfile-passed", AT_SYMLINK_FOLLOW) < 0);
}

static void do_run(const struct run *run) {
  int pair[2];
  need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0, "socketpair");
  for (int part = 0; part < run->count; part++) {
    furnish(run->parts[part].mount, run->uid, run->gid);
    int fd = open_as_maker(run->parts[part].mount);
    need(send_fd(pair[0], "m", 1, fd) != 0, "send");
    if (fd >= 0) close(fd);
  }
  need(send_fd(pair[0], "", 1, -1) != 0, "send");
  // Of the set-id program, which is for all mounts the same.
  need(chown(ROOT "/set-id", run->uid, run->gid) < 0 || chmod(ROOT "/set-id", 06755) < 0, "set-id");
  fflush(stdout);
  pid_t pid = fork();
  need(pid < 0, "fork");
  if (pid == 0) {
    close(pair[0]);
    try_all(run, pair[1]);
    fflush(stdout);
    _exit(0);
  }
  close(pair[1]);
  char byte;
  for (int file; (file = receive_fd(pair[0], &byte, 1)) != -2;) {
    int folder = receive_fd(pair[0], &byte, 1);
    int result = link_sent(file, folder);
    close(file);
    close(folder);
    send(pair[0], &result, sizeof(result), MSG_NOSIGNAL);
  }
  close(pair[0]);
  int status;
  waitpid(pid, &status, 0);
  if (status != 0) printf("- end %d\n", status);
  for (int part = 0; part < run->count; part++) {
    tell_left(run->parts[part].mount);
    clean(run->parts[part].mount);
  }
}

/* Reads the whole of a run's line but for its first numbers. */
static bool read_run(struct run *run, char *rest) {
  char *parts = strsep(&rest, " "), *part;
  run->steps = rest ?: "";
  while ((part = strsep(&parts, ";"))) {
    const struct mount *mount = find_mount(strsep(&part, "="));
    if (!mount || !part || run->count == MOUNTS) return false;
    run->parts[run->count].mount = mount;
    run->parts[run->count++].attempts = part;
  }
  return true;
}

static void prepare(const char *self) {
  prepare_fuse();
  need(unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0, "a mount namespace");
  umask(0);
  need(mkdir(ROOT, 0755) < 0 && errno != EEXIST, ROOT);
  need(mkdir(DISK, 0777) < 0 && errno != EEXIST, DISK);
  // What an earlier one left that did not come to its end.
  int disk = open(DISK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  need(disk < 0, DISK);
  remove_all(disk);
  need(mount("none", ROOT, "tmpfs", 0, "mode=0755") < 0, ROOT);
  static const char *const folders[] = {"proc", "lower", "merged", ".disk"};
  for (int index = 0; index < 4; index++) {
    char path[64];
    snprintf(path, sizeof(path), "%s/%s", ROOT, folders[index]);
    need(mkdir(path, 0755) < 0, path);
  }
  need(mount("/proc", ROOT "/proc", NULL, MS_BIND | MS_REC, NULL) < 0, "proc");
  need(mount(DISK, ROOT "/.disk", NULL, MS_BIND, NULL) < 0, "disk");
  need(mknod(ROOT "/.fuse", S_IFCHR | 0666, makedev(10, 229)) < 0, ".fuse");
  int from = open(self, O_RDONLY | O_CLOEXEC), to = open(ROOT "/set-id", O_CREAT | O_WRONLY | O_CLOEXEC, 0755);
  char bytes[65536];
  need(from < 0 || to < 0, "set-id");
  for (ssize_t count; (count = read(from, bytes, sizeof(bytes))) > 0;)
    need(write(to, bytes, count) != count, "set-id");
  close(from);
  close(to);
}

/* As the set-id program: makes a folder as who it is then. */
static int as_set_id(const char *path, const char *uid) {
  if (geteuid() != (unsigned)atoi(uid)) return ENOEXEC;
  umask(0);
  return failure(mkdir(path, 0777) < 0);
}

int main(int argc, char **argv) {
  if (argc == 3) return as_set_id(argv[1], argv[2]);
  prepare("/proc/self/exe");
  static char line[65536];
  while (fgets(line, sizeof(line), stdin)) {
    line[strcspn(line, "\n")] = 0;
    char name[32], user[32], kind[32], uids[MAP], gids[MAP];
    struct run run = {0};
    int rest = 0;
    if (sscanf(line, "user %31s %31s %1023s %1023s", name, user, uids, gids) == 4) {
      pid_t pid;
      int result = add_user(name, user, uids, gids, &pid);
      if (result == 0) printf("%d\n", pid);
      else printf("%s\n", result_name(result));
    } else if (sscanf(line, "mount %31s %31s %31s %1023s %1023s", name, user, kind, uids, gids) == 5) {
      printf("%s\n", result_name(add_mount(name, user, kind, uids, gids)));
    } else if (sscanf(line, "run %u %u %u %u %n", &run.uid, &run.gid, &run.other_uid, &run.other_gid, &rest) == 4 &&
               read_run(&run, line + rest)) {
      do_run(&run);
    } else {
      printf("unknown %s\n", line);
    }
    printf(".\n");
    fflush(stdout);
  }
  return 0;
}
