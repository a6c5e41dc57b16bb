#include <grp.h>
#include <linux/securebits.h>
#include <signal.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "program.h"

static struct user users[64];
static int user_count;

/* "-" is the outside. */
int find_user(const char *name, struct user **user) {
  *user = NULL;
  if (strcmp(name, "-") == 0) return 0;
  for (int index = 0; index < user_count; index++)
    if (strcmp(users[index].name, name) == 0) *user = &users[index];
  return *user ? 0 : ESRCH;
}

/* A map is written INSIDE:OUTSIDE:COUNT,...; the kernel has a line for each. */
static void write_map(pid_t pid, const char *file, const char *map) {
  char path[64], lines[4096];
  snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
  snprintf(lines, sizeof(lines), "%s", map);
  for (char *c = lines; *c; c++) *c = *c == ':' ? ' ' : *c == ',' ? '\n' : *c;
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  need(fd < 0 || write(fd, lines, strlen(lines)) < 0, path);
  close(fd);
}

/* The other end's id of one that is on the right of a map, as make_kuid(9)'s opposite; (unsigned)-1 if it has none. */
unsigned mapped_up(const char *map, unsigned id) {
  if (!*map) return id;
  for (const char *entry = map; entry; entry = strchr(entry, ',')) {
    if (*entry == ',') entry++;
    unsigned inside, outside, count;
    if (sscanf(entry, "%u:%u:%u", &inside, &outside, &count) != 3) break;
    if (id >= outside && id - outside < count) return inside + (id - outside);
  }
  return -1;
}

/* Of an id of the outside, by the maps that the kernel shows to the outside; (unsigned)-1 if it has none. */
unsigned id_inside(const struct user *user, const char *file, unsigned id) {
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/%s", user->pid, file);
  FILE *map = fopen(path, "re");
  need(!map, path);
  unsigned inside, outside, count, result = -1;
  while (fscanf(map, "%u %u %u", &inside, &outside, &count) == 3)
    if (id >= outside && id - outside < count) result = inside + (id - outside);
  fclose(map);
  return result;
}

/* Enters a new user namespace. Its maps are written by a process that stays in the old one, and has its capabilities. */
int unshare_user(int more, const char *uids, const char *gids) {
  int ready[2];
  need(pipe2(ready, O_CLOEXEC) < 0, "pipe");
  pid_t self = getpid(), helper = fork();
  need(helper < 0, "fork");
  if (helper == 0) {
    char byte;
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 1) _exit(1);
    write_map(self, "uid_map", uids);
    write_map(self, "gid_map", gids);
    _exit(0);
  }
  int result = failure(unshare(CLONE_NEWUSER | more) < 0);
  if (result == 0) {
    // Else what is in /proc of this process belongs to another namespace's root.
    prctl(PR_SET_DUMPABLE, 1);
    need(write(ready[1], "", 1) != 1, "write");
  }
  close(ready[0]);
  close(ready[1]);
  int status;
  waitpid(helper, &status, 0);
  need(result == 0 && status != 0, "writing the maps");
  return result;
}

/* Takes ids, and keeps all capabilities. */
int become(unsigned uid, unsigned gid) {
  prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP);
  int result = failure(setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0);
  prctl(PR_SET_DUMPABLE, 1);
  return result;
}

int join(const struct user *user, int kinds) {
  // The mount namespace is given by the user namespace that owns it.
  static const struct {
    int kind;
    const char *name;
  } order[] = {{CLONE_NEWUSER, "user"}, {CLONE_NEWNS, "mnt"}};
  int fds[2] = {-1, -1};
  for (int index = 0; index < 2; index++) {
    char path[64];
    snprintf(path, sizeof(path), "/proc/%d/ns/%s", user->pid, order[index].name);
    if (kinds & order[index].kind) fds[index] = open(path, O_RDONLY | O_CLOEXEC);
  }
  for (int index = 0; index < 2; index++) {
    if (!(kinds & order[index].kind)) continue;
    int result = failure(setns(fds[index], order[index].kind) < 0);
    close(fds[index]);
    if (result != 0) return result;
  }
  return kinds & CLONE_NEWUSER ? become(0, 0) : 0;
}

int add_user(const char *name, const char *parent, const char *uids, const char *gids, pid_t *pid) {
  struct user *above;
  int result = find_user(parent, &above);
  if (result != 0) return result;
  struct user *user = &users[user_count++];
  snprintf(user->name, sizeof(user->name), "%s", name);
  int ready[2];
  need(pipe2(ready, O_CLOEXEC) < 0, "pipe");
  user->pid = fork();
  need(user->pid < 0, "fork");
  if (user->pid == 0) {
    close(ready[0]);
    if (above) result = join(above, CLONE_NEWUSER | CLONE_NEWNS);
    if (result == 0) result = unshare_user(CLONE_NEWNS, uids, gids);
    if (result == 0) result = become(0, 0);
    if (result == 0) result = failure(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0);
    // The kernel forgets it where ids change.
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    need(write(ready[1], &result, sizeof(result)) != sizeof(result), "write");
    for (;;) pause();
  }
  close(ready[1]);
  if (read(ready[0], &result, sizeof(result)) != sizeof(result)) result = EPIPE;
  close(ready[0]);
  *pid = user->pid;
  return result;
}

/* A descriptor of a user namespace that is nothing but its maps, as the kernel wants for a mount's idmap. */
int namespace_of_maps(const char *uids, const char *gids) {
  int ready[2], end[2];
  need(pipe2(ready, O_CLOEXEC) < 0 || pipe2(end, O_CLOEXEC) < 0, "pipe");
  pid_t pid = fork();
  need(pid < 0, "fork");
  char byte = 0;
  if (pid == 0) {
    close(end[1]);
    need(unshare_user(0, uids, gids) != 0, "unshare");
    need(write(ready[1], &byte, 1) != 1, "write");
    _exit(read(end[0], &byte, 1) != 0);
  }
  close(ready[1]);
  need(read(ready[0], &byte, 1) != 1, "a namespace of maps");
  char path[64];
  snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  close(ready[0]);
  close(end[0]);
  close(end[1]);
  waitpid(pid, NULL, 0);
  return fd;
}

/* Goes on in a child, which is the first process of a new pid namespace; its parent ends as it does. */
static int go_on_in_child(void) {
  pid_t pid = fork();
  need(pid < 0, "fork");
  if (pid == 0) return 0;
  int status;
  waitpid(pid, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}

static int pivot(void) {
  // What came from a more privileged namespace can't be moved, but a copy of it can.
  if (unshare(CLONE_NEWNS) < 0 || mount(ROOT, ROOT, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(ROOT) < 0) return errno;
  if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0) return errno;
  return 0;
}

/*
 * One step on the way into an environment:
 *   user NAME, mnt NAME       joins what is kept
 *   new KINDS                 unshare(2), of the letters of unshare(1): m U p n i u C; U maps its root to ours
 *   nest N                    as many user namespaces, each in the one before
 *   chroot, pivot             into the tmpfs of all mounts
 *   ids UID GID               who acts
 * Spaces are colons.
 */
int take_step(const char *step, const char **base) {
  char name[32];
  unsigned uid, gid, count;
  struct user *user;
  if (sscanf(step, "user:%31s", name) == 1) return find_user(name, &user) ?: join(user, CLONE_NEWUSER);
  if (sscanf(step, "mnt:%31s", name) == 1) return find_user(name, &user) ?: join(user, CLONE_NEWNS);
  if (sscanf(step, "ids:%u:%u", &uid, &gid) == 2) return become(uid, gid);
  if (sscanf(step, "nest:%u", &count) == 1) {
    int result = 0;
    for (unsigned level = 0; level < count && result == 0; level++) result = unshare_user(0, "0:0:1", "0:0:1");
    return result;
  }
  if (sscanf(step, "new:%31s", name) == 1) {
    int kinds = 0;
    if (strchr(name, 'm')) kinds |= CLONE_NEWNS;
    if (strchr(name, 'p')) kinds |= CLONE_NEWPID;
    if (strchr(name, 'n')) kinds |= CLONE_NEWNET;
    if (strchr(name, 'i')) kinds |= CLONE_NEWIPC;
    if (strchr(name, 'u')) kinds |= CLONE_NEWUTS;
    if (strchr(name, 'C')) kinds |= CLONE_NEWCGROUP;
    int result = strchr(name, 'U') ? unshare_user(kinds, "0:0:1", "0:0:1") : failure(unshare(kinds) < 0);
    if (result == 0 && kinds & CLONE_NEWPID) result = go_on_in_child();
    return result;
  }
  if (strcmp(step, "chroot") == 0 || strcmp(step, "pivot") == 0) {
    *base = "";
    return *step == 'p' ? pivot() : failure(chroot(ROOT) < 0 || chdir("/") < 0);
  }
  return EINVAL;
}
