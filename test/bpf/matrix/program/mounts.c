#include <dirent.h>
#include <sys/socket.h>

#include "program.h"

static struct mount mounts[MOUNTS];
static int mount_count;

struct mount *find_mount(const char *name) {
  for (int index = 0; index < mount_count; index++)
    if (strcmp(mounts[index].name, name) == 0) return &mounts[index];
  return NULL;
}

static int make_folder(const char *path) {
  if (mkdir(path, 0777) < 0 && errno != EEXIST) return errno;
  return failure(chmod(path, 0777) < 0);
}

static int mount_idmapped(const char *from, const char *to, const char *uids, const char *gids) {
  int namespace = namespace_of_maps(uids, gids);
  int tree = syscall(SYS_open_tree, AT_FDCWD, from, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  struct mount_attr wanted = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = namespace};
  int result = failure(tree < 0 || syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &wanted, sizeof(wanted)) < 0 ||
                       syscall(SYS_move_mount, tree, "", AT_FDCWD, to, MOVE_MOUNT_F_EMPTY_PATH) < 0);
  close(tree);
  close(namespace);
  return result;
}

/* Everything that an overlay needs is on the file system of its upper layer. */
static int mount_overlay(const char *on, const char *to) {
  char options[512], layer[160];
  for (int index = 0; index < 3; index++) {
    snprintf(layer, sizeof(layer), "%s/%s", on, (const char *[]){"lower", "upper", "work"}[index]);
    int result = make_folder(layer);
    if (result != 0) return result;
  }
  snprintf(options, sizeof(options), "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,userxattr", on, on, on);
  return failure(mount("overlay", to, "overlay", 0, options) < 0);
}

struct wish {
  struct mount *mount;
  const char *kind;
  /* Of an overlay on somebody else's mount: that mount. */
  const struct mount *upper;
};

/* Runs as the mount's maker, in whose mount namespace it is to be. */
static int make(const void *argument) {
  const struct wish *wish = argument;
  const struct mount *new = wish->mount;
  const char *kind = wish->kind;
  char to[128], shown[160];
  snprintf(to, sizeof(to), "%s/%s", ROOT, new->name);
  snprintf(shown, sizeof(shown), "%s/.disk/%s", ROOT, new->name);
  if (new->user) {
    int result = join(new->user, CLONE_NEWUSER | CLONE_NEWNS);
    if (result != 0) return result;
  }
  if (strcmp(kind, "bind") == 0) return failure(mount(shown, to, NULL, MS_BIND, NULL) < 0);
  if (strcmp(kind, "idmapped") == 0) return mount_idmapped(shown, to, new->uids, new->gids);
  if (strcmp(kind, "tmpfs") == 0) return failure(mount("none", to, "tmpfs", 0, "mode=0777") < 0);
  if (strcmp(kind, "fuse") == 0) return mount_fuse(to);
  if (strcmp(kind, "cgroup") == 0) {
    // The delegated folder is below the top one, which the kernel keeps as it is.
    char folder[160];
    if (mount("none", to, "cgroup2", 0, NULL) < 0) return errno;
    snprintf(folder, sizeof(folder), "%s/sdrx-matrix", to);
    int result = make_folder(folder);
    return result != 0 ? result : failure(mount(folder, to, NULL, MS_BIND, NULL) < 0);
  }
  if (strcmp(kind, "overlay") == 0) {
    if (wish->upper) {
      snprintf(shown, sizeof(shown), "%s/%s", ROOT, wish->upper->name);
      return mount_overlay(shown, to);
    }
    // Of a namespace's own it is on a tmpfs of its own.
    if (!new->user) return mount_overlay(shown, to);
    if (mount("none", to, "tmpfs", 0, "mode=0777") < 0) return errno;
    return mount_overlay(to, to);
  }
  return EINVAL;
}

int add_mount(const char *name, const char *user, const char *kind, const char *uids, const char *gids) {
  struct mount *new = &mounts[mount_count];
  *new = (struct mount){0};
  int result = find_user(user, &new->user);
  if (result != 0) return result;
  snprintf(new->name, sizeof(new->name), "%s", name);
  if (strcmp(uids, "-") != 0) snprintf(new->uids, sizeof(new->uids), "%s", uids);
  if (strcmp(gids, "-") != 0) snprintf(new->gids, sizeof(new->gids), "%s", gids);
  char path[128];
  snprintf(path, sizeof(path), "%s/%s", ROOT, name);
  result = make_folder(path);
  bool on_disk =
    strcmp(kind, "bind") == 0 || strcmp(kind, "idmapped") == 0 || (!new->user && strcmp(kind, "overlay") == 0);
  if (result == 0 && on_disk) {
    snprintf(new->underlying, sizeof(new->underlying), "%s/%s", DISK, name);
    result = make_folder(new->underlying);
  }
  struct wish wish = {new, kind, NULL};
  if (strcmp(kind, "overlay") == 0 && *new->uids) {
    wish.upper = find_mount(uids);
    if (!wish.upper) return ENOENT;
    snprintf(new->upper, sizeof(new->upper), "%s/%s/upper", DISK, uids);
    *new->uids = 0;
  }
  // Those of the outside are made here, so that all who come later have them.
  if (result == 0) result = new->user ? in_child(make, &wish) : make(&wish);
  if (result != 0) return result;
  if (on_disk && strcmp(kind, "overlay") == 0) *new->underlying = 0;
  mount_count++;
  return 0;
}

/* Whether the file system was mounted in its maker's namespaces, so that only those who are in these may write to it. */
static bool is_own(const struct mount *mount) { return mount->user && !*mount->underlying; }

/* As whoever may write to it reaches it. */
static void path_of(const struct mount *mount, char *path, size_t size) {
  if (*mount->underlying) snprintf(path, size, "%s", mount->underlying);
  else snprintf(path, size, "%s/%s", ROOT, mount->name);
}

struct furniture {
  const struct mount *mount;
  unsigned uid, gid;
  bool remove;
};

static bool is_cgroup(const char *path) { return strcmp(path, ROOT "/cgroup") == 0; }

void remove_all(int folder) {
  DIR *entries = fdopendir(folder);
  need(!entries, "fdopendir");
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    if (unlinkat(folder, entry->d_name, 0) == 0) continue;
    int below = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (below < 0) continue;
    // A folder of a cgroup has nothing but what can't be removed.
    struct stat status;
    if (unlinkat(folder, entry->d_name, AT_REMOVEDIR) < 0 && fstat(below, &status) == 0 && errno == ENOTEMPTY)
      remove_all(below);
    else close(below);
    unlinkat(folder, entry->d_name, AT_REMOVEDIR);
  }
  closedir(entries);
}

/* Ids that the mount maps to none leave the file to the root. */
static void fchown_mapped(int file, uid_t uid, gid_t gid) { need(fchown(file, uid, gid) < 0, "fchown"); }

/* The files that the attempts need: `owned` is who acts' own, `open` and `from` are anybody's, `upper` and `work` are for an overlay. */
static int arrange(const void *argument) {
  const struct furniture *wanted = argument;
  char path[160];
  path_of(wanted->mount, path, sizeof(path));
  uid_t uid = mapped_up(wanted->mount->uids, wanted->uid);
  gid_t gid = mapped_up(wanted->mount->gids, wanted->gid);
  if (is_own(wanted->mount)) {
    uid = id_inside(wanted->mount->user, "uid_map", uid);
    gid = id_inside(wanted->mount->user, "gid_map", gid);
    need(join(wanted->mount->user, CLONE_NEWUSER | CLONE_NEWNS) != 0, "join");
  }
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  need(folder < 0, path);
  if (wanted->remove) {
    remove_all(folder);
    return 0;
  }
  if (is_cgroup(path)) {
    int result = failure(fchown(folder, uid, gid) < 0);
    close(folder);
    return result;
  }
  umask(0);
  static const char *const files[] = {"owned", "open", "from"};
  for (int index = 0; index < 3; index++) {
    int file = openat(folder, files[index], O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0666);
    need(file < 0 || write(file, "text", 4) != 4, files[index]);
    if (index == 0 || *wanted->mount->uids) fchown_mapped(file, uid, gid);
    close(file);
  }
  static const char *const folders[] = {"upper", "work"};
  for (int index = 0; index < 2; index++) {
    need(mkdirat(folder, folders[index], 0777) < 0, folders[index]);
    int made = openat(folder, folders[index], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    need(made < 0, folders[index]);
    fchown_mapped(made, uid, gid);
    close(made);
  }
  // Nobody may write to what has an owner that the mount maps to none.
  if (*wanted->mount->uids) fchown_mapped(folder, uid, gid);
  close(folder);
  return 0;
}

/* Only what has to join namespaces costs a process. */
static int run_for(const struct mount *mount, int (*run)(const void *argument), const void *argument) {
  return mount->user ? in_child(run, argument) : run(argument);
}

void furnish(const struct mount *mount, unsigned uid, unsigned gid) {
  struct furniture wanted = {mount, uid, gid, false};
  if (!*mount->upper) need(run_for(mount, arrange, &wanted) != 0, "furnish");
}

void clean(const struct mount *mount) {
  struct furniture wanted = {mount, 0, 0, true};
  need(run_for(mount, arrange, &wanted) != 0, "clean");
}

/* Somebody else's descriptor of it. */
struct request {
  const struct mount *mount;
  int socket;
};

static int open_and_send(const void *argument) {
  const struct request *request = argument;
  if (request->mount->user) {
    int result = join(request->mount->user, CLONE_NEWUSER | CLONE_NEWNS);
    if (result != 0) return result;
  }
  char path[128];
  snprintf(path, sizeof(path), "%s/%s", ROOT, request->mount->name);
  int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  return fd < 0 ? errno : send_fd(request->socket, "", 1, fd);
}

int open_as_maker(const struct mount *mount) {
  char path[128];
  snprintf(path, sizeof(path), "%s/%s", ROOT, mount->name);
  if (!mount->user) return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int pair[2];
  need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0, "socketpair");
  struct request request = {mount, pair[1]};
  int result = in_child(open_and_send, &request);
  char byte;
  int fd = result == 0 ? receive_fd(pair[0], &byte, 1) : -1;
  close(pair[0]);
  close(pair[1]);
  return fd;
}

static void tell(const struct mount *mount, int folder, const char *above) {
  DIR *entries = fdopendir(folder);
  need(!entries, "fdopendir");
  for (struct dirent *entry; (entry = readdir(entries));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    struct stat status;
    char path[320];
    snprintf(path, sizeof(path), "%s%s%s", above, *above ? "/" : "", entry->d_name);
    if (fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0) continue;
    printf("left %s %s %u %u\n", mount->name, path, status.st_uid, status.st_gid);
    if (S_ISDIR(status.st_mode)) {
      int below = openat(folder, entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
      if (below >= 0) tell(mount, below, path);
    }
  }
  closedir(entries);
}

/* Says what is there, and whose, as the disk has it. */
void tell_left(const struct mount *mount) {
  char path[160];
  path_of(mount, path, sizeof(path));
  if (*mount->upper) snprintf(path, sizeof(path), "%s", mount->upper);
  else if (is_own(mount)) return;
  int folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  need(folder < 0, path);
  if (is_cgroup(path)) close(folder);
  else tell(mount, folder, "");
}
