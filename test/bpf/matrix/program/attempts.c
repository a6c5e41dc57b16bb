#include <dirent.h>
#include <linux/openat2.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <grp.h>
#include <signal.h>

#include "program.h"

/* A name on the mount, as the task reaches it; each use has a buffer of its own. */
#define ON(place, name)                                                                                                \
  ({                                                                                                                   \
    static char on_path[192];                                                                                          \
    snprintf(on_path, sizeof(on_path), "%s/%s", (place)->path, name);                                                  \
    on_path;                                                                                                           \
  })
#define TRY(name) static int try_##name(const struct place *place)

static int closed(int fd) {
  if (fd < 0) return errno;
  close(fd);
  return 0;
}

/* Folders */

TRY(mkdir) { return failure(mkdir(ON(place, "mkdir"), 0777) < 0); }
TRY(mkdir_passed) { return failure(mkdirat(place->passed, "mkdir-passed", 0777) < 0); }

TRY(mkdir_uring) {
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  int result = uring_mkdir(folder, "mkdir-uring");
  close(folder);
  return result;
}

/* A process with the mount as its descriptor 3, root and current folder, in /proc of which it is reached. */
static int through_process(const struct place *place, const char *link, const char *name, int (*make)(const char *)) {
  int ready[2], end[2];
  if (pipe2(ready, O_CLOEXEC) < 0 || pipe2(end, O_CLOEXEC) < 0) return errno;
  pid_t pid = fork();
  if (pid < 0) return errno;
  if (pid == 0) {
    close(end[1]);
    char self[32] = {0}, byte;
    if (readlink("/proc/self", self, sizeof(self) - 1) < 0) _exit(1);
    int folder = open(place->path, O_RDONLY | O_DIRECTORY);
    if (folder < 0 || fchdir(folder) < 0 || dup2(folder, 50) < 0 || chroot(".") < 0) _exit(errno);
    if (write(ready[1], self, sizeof(self)) < 0) _exit(errno);
    _exit(read(end[0], &byte, 1) == 0 ? 0 : EPIPE);
  }
  close(ready[1]);
  close(end[0]);
  char other[32];
  int result = ESRCH;
  if (read(ready[0], other, sizeof(other)) > 0) {
    char path[128];
    snprintf(path, sizeof(path), "/proc/%s/%s/%s", other, link, name);
    result = make(path);
  }
  close(ready[0]);
  close(end[1]);
  int status;
  waitpid(pid, &status, 0);
  return WEXITSTATUS(status) ? WEXITSTATUS(status) : result;
}

static int make_one_folder(const char *path) { return failure(mkdir(path, 0777) < 0); }
static int make_file(const char *path) { return closed(open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666)); }

TRY(mkdir_proc_fd) { return through_process(place, "fd/50", "mkdir-proc-fd", make_one_folder); }
TRY(mkdir_proc_root) { return through_process(place, "root", "mkdir-proc-root", make_one_folder); }
TRY(mkdir_proc_cwd) { return through_process(place, "cwd", "mkdir-proc-cwd", make_one_folder); }
TRY(open_proc_fd) { return through_process(place, "fd/50", "open-proc-fd", make_file); }

/* On a copy of the mount in no mount namespace that anybody is in. */
static int on_detached(const void *argument) {
  const struct place *place = argument;
  if (unshare(CLONE_NEWNS) < 0) return errno;
  int tree = syscall(SYS_open_tree, AT_FDCWD, place->path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  if (tree < 0) return errno;
  return failure(mkdirat(tree, "mkdir-detached", 0777) < 0);
}

TRY(mkdir_detached) { return in_child(on_detached, place); }

static int mkdir_in_new(const void *argument) {
  return failure(unshare(CLONE_NEWNS) < 0 || mkdir(ON((const struct place *)argument, "mkdir-unshare"), 0777) < 0);
}

TRY(mkdir_unshare) { return in_child(mkdir_in_new, place); }

/* A set-id program of who acts makes it for another user, who begins it. */
static int run_set_id(const void *argument) {
  const struct place *place = argument;
  char program[128], owner[16];
  snprintf(owner, sizeof(owner), "%u", geteuid());
  snprintf(program, sizeof(program), "%s/set-id", place->base);
  int result = become(place->other_uid, place->other_gid);
  if (result != 0) return result;
  execl(program, program, ON(place, "mkdir-set-id"), owner, NULL);
  return errno;
}

TRY(mkdir_set_id) { return in_child(run_set_id, place); }

/* Files */

TRY(mknod_file) { return failure(mknod(ON(place, "mknod-file"), S_IFREG | 0666, 0) < 0); }
TRY(mknod_fifo) { return failure(mknod(ON(place, "mknod-fifo"), S_IFIFO | 0666, 0) < 0); }
TRY(mknod_socket) { return failure(mknod(ON(place, "mknod-socket"), S_IFSOCK | 0666, 0) < 0); }
TRY(mknod_passed) { return failure(mknodat(place->passed, "mknod-passed", S_IFIFO | 0666, 0) < 0); }
/* The one device that anybody may make: overlayfs's sign for what is deleted. */
TRY(mknod_whiteout) { return failure(mknod(ON(place, "mknod-whiteout"), S_IFCHR | 0666, 0) < 0); }
TRY(mknod_device) { return failure(mknod(ON(place, "mknod-device"), S_IFCHR | 0666, 1 << 8 | 3) < 0); }

TRY(bind) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof(address.sun_path), "%.90s/bind", place->path);
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int result = failure(bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
  close(fd);
  return result;
}

TRY(open_create) { return closed(open(ON(place, "open-create"), O_CREAT | O_WRONLY | O_CLOEXEC, 0666)); }
TRY(open_exclusive) { return make_file(ON(place, "open-exclusive")); }

TRY(open_passed) {
  return closed(openat(place->passed, "open-passed", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
}

TRY(openat2_passed) {
  struct open_how how = {.flags = O_CREAT | O_WRONLY | O_CLOEXEC, .mode = 0666, .resolve = RESOLVE_BENEATH};
  return closed(syscall(SYS_openat2, place->passed, "openat2-passed", &how, sizeof(how)));
}

TRY(open_uring) {
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  int result = uring_open(folder, "open-uring", O_CREAT | O_WRONLY | O_CLOEXEC);
  close(folder);
  return result;
}

/* Of what is there already. */
TRY(open_existing) { return closed(open(ON(place, "open"), O_CREAT | O_RDWR | O_CLOEXEC, 0666)); }

static int temporary(const struct place *place) { return open(place->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666); }

TRY(tmpfile) { return closed(temporary(place)); }

TRY(tmpfile_link) {
  int fd = temporary(place);
  if (fd < 0) return errno;
  char from[64];
  snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
  int result = failure(linkat(AT_FDCWD, from, AT_FDCWD, ON(place, "tmpfile-link"), AT_SYMLINK_FOLLOW) < 0);
  close(fd);
  return result;
}

/* Somebody outside gives it a name. */
TRY(tmpfile_passed) {
  int fd = temporary(place);
  if (fd < 0) return errno;
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int result = send_fd(place->outside, "f", 1, fd) ?: send_fd(place->outside, "d", 1, folder);
  close(folder);
  close(fd);
  if (result != 0) return result;
  if (recv(place->outside, &result, sizeof(result), 0) != sizeof(result)) return EPIPE;
  return result;
}

/* Links */

TRY(symlink) { return failure(symlink("open", ON(place, "symlink")) < 0); }
TRY(symlink_passed) { return failure(symlinkat("open", place->passed, "symlink-passed") < 0); }

TRY(symlink_uring) {
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  int result = uring_symlink("open", folder, "symlink-uring");
  close(folder);
  return result;
}

TRY(link) { return failure(link(ON(place, "open"), ON(place, "link")) < 0); }
TRY(link_passed) { return failure(linkat(place->passed, "open", place->passed, "link-passed", 0) < 0); }

TRY(link_uring) {
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  int result = uring_link(folder, "open", folder, "link-uring");
  close(folder);
  return result;
}

/* Names change; the file is moved back. */
static int rename_and_back(const struct place *place, unsigned flags) {
  if (syscall(SYS_renameat2, AT_FDCWD, ON(place, "from"), AT_FDCWD, ON(place, "to"), flags) < 0) return errno;
  return failure(syscall(SYS_renameat2, AT_FDCWD, ON(place, "to"), AT_FDCWD, ON(place, "from"), flags) < 0);
}

TRY(rename) { return rename_and_back(place, RENAME_NOREPLACE); }

TRY(rename_exchange) {
  for (int count = 0; count < 2; count++)
    if (syscall(SYS_renameat2, AT_FDCWD, ON(place, "from"), AT_FDCWD, ON(place, "open"), RENAME_EXCHANGE) < 0)
      return errno;
  return 0;
}

/* Where the file was, a whiteout is made. */
TRY(rename_whiteout) {
  if (syscall(SYS_renameat2, AT_FDCWD, ON(place, "from"), AT_FDCWD, ON(place, "to"), RENAME_WHITEOUT) < 0)
    return errno;
  if (rename(ON(place, "from"), ON(place, "rename-whiteout")) < 0) return errno;
  return failure(rename(ON(place, "to"), ON(place, "from")) < 0);
}

TRY(rename_whiteout_uring) {
  int folder = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder < 0) return errno;
  int result = uring_rename(folder, "from", folder, "to", RENAME_WHITEOUT);
  close(folder);
  if (result != 0) return result;
  if (rename(ON(place, "from"), ON(place, "rename-whiteout-uring")) < 0) return errno;
  return failure(rename(ON(place, "to"), ON(place, "from")) < 0);
}

/* Ids and attributes */

TRY(chown_other) { return failure(chown(ON(place, "owned"), place->other_uid, place->other_gid) < 0); }
TRY(lchown) { return failure(lchown(ON(place, "owned"), place->other_uid, -1) < 0); }
TRY(chown_group) { return failure(chown(ON(place, "owned"), -1, place->other_gid) < 0); }
TRY(chown_nobody) { return failure(chown(ON(place, "owned"), -1, -1) < 0); }
TRY(chown_passed) { return failure(fchownat(place->passed, "owned", place->other_uid, -1, 0) < 0); }

TRY(fchown) {
  int fd = open(ON(place, "owned"), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  int result = failure(fchown(fd, place->other_uid, place->other_gid) < 0);
  close(fd);
  return result;
}

TRY(chmod_set_id) { return failure(chmod(ON(place, "owned"), 06666) < 0); }
TRY(xattr_user) { return failure(setxattr(ON(place, "owned"), "user.sdrx", "text", 4, 0) < 0); }
TRY(xattr_trusted) { return failure(setxattr(ON(place, "owned"), "trusted.sdrx", "text", 4, 0) < 0); }

/* The file's capabilities hold the id of the namespace's root. */
TRY(xattr_capability) {
  const uint32_t capability[] = {0x02000001, 1 << 10, 0, 0, 0};
  return failure(setxattr(ON(place, "owned"), "security.capability", capability, sizeof(capability), 0) < 0);
}

static int set_acl(const char *path, const char *attribute, unsigned uid) {
  struct {
    uint32_t version;
    struct {
      uint16_t tag, permissions;
      uint32_t id;
    } entries[5];
  } acl = {2, {{1, 6, -1}, {2, 6, uid}, {4, 6, -1}, {16, 6, -1}, {32, 6, -1}}};
  return failure(setxattr(path, attribute, &acl, sizeof(acl), 0) < 0);
}

TRY(acl) { return set_acl(ON(place, "owned"), "system.posix_acl_access", place->other_uid); }
TRY(acl_default) { return set_acl(ON(place, "upper"), "system.posix_acl_default", place->other_uid); }

/* Somebody else's file, written through memory. */
TRY(mmap_shared) {
  int fd = openat(place->passed, "open", O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno;
  char *bytes = mmap(NULL, 4, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  int result = failure(bytes == MAP_FAILED);
  if (result == 0) {
    bytes[0]++;
    result = failure(msync(bytes, 4, MS_SYNC) < 0);
    munmap(bytes, 4);
  }
  close(fd);
  return result;
}

/* Overlays, with the mount as their upper layer */

static int prepare_overlay(const struct place *place, char *options, size_t size) {
  snprintf(options, size, "lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work,userxattr", place->base, place->path,
           place->path);
  return failure(unshare(CLONE_NEWNS) < 0);
}

static int make_in(const char *base) {
  char path[128];
  snprintf(path, sizeof(path), "%s/merged/overlay", base);
  return failure(mkdir(path, 0777) < 0);
}

static int mount_overlay(const void *argument) {
  const struct place *place = argument;
  char options[640], point[128];
  int result = prepare_overlay(place, options, sizeof(options));
  if (result != 0) return result;
  snprintf(point, sizeof(point), "%s/merged", place->base);
  if (mount("overlay", point, "overlay", 0, options) < 0) return errno;
  return make_in(place->base);
}

TRY(overlay) { return in_child(mount_overlay, place); }

/* It could be made writable later. */
static int mount_read_only(const void *argument) {
  const struct place *place = argument;
  char options[640], point[128];
  int result = prepare_overlay(place, options, sizeof(options));
  if (result != 0) return result;
  snprintf(point, sizeof(point), "%s/merged", place->base);
  if (mount("overlay", point, "overlay", MS_RDONLY, options) < 0) return errno;
  if (mount(NULL, point, NULL, MS_REMOUNT, NULL) < 0) return errno;
  snprintf(point, sizeof(point), "%s/merged/overlay-read-only", place->base);
  return failure(mkdir(point, 0777) < 0);
}

TRY(overlay_read_only) { return in_child(mount_read_only, place); }

/* By the newer system calls, mounted nowhere. */
static int mount_detached(const void *argument) {
  const struct place *place = argument;
  char layer[160];
  if (unshare(CLONE_NEWNS) < 0) return errno;
  int context = fsopen("overlay", FSOPEN_CLOEXEC);
  if (context < 0) return errno;
  static const char *const keys[] = {"lowerdir", "upperdir", "workdir"};
  for (int index = 0; index < 3; index++) {
    snprintf(layer, sizeof(layer), "%s/%s", index == 0 ? place->base : place->path,
             (const char *[]){"lower", "upper", "work"}[index]);
    if (fsconfig(context, FSCONFIG_SET_STRING, keys[index], layer, 0) < 0) return errno;
  }
  fsconfig(context, FSCONFIG_SET_FLAG, "userxattr", NULL, 0);
  if (fsconfig(context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) return errno;
  int tree = fsmount(context, FSMOUNT_CLOEXEC, 0);
  if (tree < 0) return errno;
  return failure(mkdirat(tree, "overlay-detached", 0777) < 0);
}

TRY(overlay_detached) { return in_child(mount_detached, place); }

/* Groups */

static int drop_groups(const void *argument) {
  (void)argument;
  return failure(setgroups(0, NULL) < 0);
}

TRY(setgroups) { return in_child(drop_groups, place); }

const struct attempt attempts[] = {
  {"mkdir", try_mkdir},
  {"mkdir-passed", try_mkdir_passed},
  {"mkdir-uring", try_mkdir_uring},
  {"mkdir-proc-fd", try_mkdir_proc_fd},
  {"mkdir-proc-root", try_mkdir_proc_root},
  {"mkdir-proc-cwd", try_mkdir_proc_cwd},
  {"mkdir-detached", try_mkdir_detached},
  {"mkdir-unshare", try_mkdir_unshare},
  {"mkdir-set-id", try_mkdir_set_id},
  {"mknod-file", try_mknod_file},
  {"mknod-fifo", try_mknod_fifo},
  {"mknod-socket", try_mknod_socket},
  {"mknod-passed", try_mknod_passed},
  {"mknod-whiteout", try_mknod_whiteout},
  {"mknod-device", try_mknod_device},
  {"bind", try_bind},
  {"open-create", try_open_create},
  {"open-exclusive", try_open_exclusive},
  {"open-passed", try_open_passed},
  {"openat2-passed", try_openat2_passed},
  {"open-proc-fd", try_open_proc_fd},
  {"open-uring", try_open_uring},
  {"open-existing", try_open_existing},
  {"tmpfile", try_tmpfile},
  {"tmpfile-link", try_tmpfile_link},
  {"tmpfile-passed", try_tmpfile_passed},
  {"symlink", try_symlink},
  {"symlink-passed", try_symlink_passed},
  {"symlink-uring", try_symlink_uring},
  {"link", try_link},
  {"link-passed", try_link_passed},
  {"link-uring", try_link_uring},
  {"rename", try_rename},
  {"rename-exchange", try_rename_exchange},
  {"rename-whiteout", try_rename_whiteout},
  {"rename-whiteout-uring", try_rename_whiteout_uring},
  {"acl", try_acl},
  {"acl-default", try_acl_default},
  {"chmod-set-id", try_chmod_set_id},
  {"xattr-user", try_xattr_user},
  {"xattr-trusted", try_xattr_trusted},
  {"xattr-capability", try_xattr_capability},
  {"chown-nobody", try_chown_nobody},
  {"chown", try_chown_other},
  {"fchown", try_fchown},
  {"lchown", try_lchown},
  {"chown-group", try_chown_group},
  {"chown-passed", try_chown_passed},
  {"mmap-shared", try_mmap_shared},
  {"overlay", try_overlay},
  {"overlay-read-only", try_overlay_read_only},
  {"overlay-detached", try_overlay_detached},
  {"setgroups", try_setgroups},
  {NULL, NULL},
};
