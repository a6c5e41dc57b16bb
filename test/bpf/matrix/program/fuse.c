/*
 * A file system of the kind that users make themselves: it keeps in memory whatever it is asked to, by the raw protocol of
 * /dev/fuse. fuse(4).
 */
#include <linux/fuse.h>
#include <poll.h>

#include "program.h"

#ifndef FUSE_POSIX_ACL
#define FUSE_POSIX_ACL (1 << 20)
#endif

struct node {
  uint64_t id;
  mode_t mode;
  uint32_t uid, gid, device;
  char *target;
  char bytes[64];
  uint64_t size;
  unsigned links;
};

/* A name in a folder. */
struct entry {
  struct entry *next;
  uint64_t folder;
  struct node *node;
  char name[64];
};

static struct node **nodes;
static uint64_t node_count;
static struct entry *entries;

static struct node *new_node(mode_t mode, uint32_t uid, uint32_t gid) {
  nodes = realloc(nodes, (node_count + 1) * sizeof(*nodes));
  need(!nodes, "realloc");
  struct node *node = calloc(1, sizeof(*node));
  need(!node, "calloc");
  *node = (struct node){.id = node_count + 1, .mode = mode, .uid = uid, .gid = gid};
  return nodes[node_count++] = node;
}

static struct entry **find(uint64_t folder, const char *name) {
  struct entry **place = &entries;
  while (*place && ((*place)->folder != folder || strcmp((*place)->name, name) != 0)) place = &(*place)->next;
  return *place ? place : NULL;
}

static struct entry *add(uint64_t folder, const char *name, struct node *node) {
  struct entry *entry = calloc(1, sizeof(*entry));
  need(!entry, "calloc");
  *entry = (struct entry){.next = entries, .folder = folder, .node = node};
  snprintf(entry->name, sizeof(entry->name), "%s", name);
  node->links++;
  return entries = entry;
}

static void remove_entry(struct entry **place) {
  struct entry *entry = *place;
  entry->node->links--;
  *place = entry->next;
  free(entry);
}

static bool is_empty(uint64_t folder) {
  for (struct entry *entry = entries; entry; entry = entry->next)
    if (entry->folder == folder) return false;
  return true;
}

static struct fuse_attr attributes(const struct node *node) {
  return (struct fuse_attr){.ino = node->id,
                            .size = node->size,
                            .mode = node->mode,
                            .nlink = node->links ?: 1,
                            .uid = node->uid,
                            .gid = node->gid,
                            .rdev = node->device,
                            .blksize = 4096};
}

static struct fuse_entry_out found(const struct node *node) {
  return (struct fuse_entry_out){.nodeid = node->id, .attr = attributes(node)};
}

static void reply(int device, const struct fuse_in_header *to, int error, const void *data, size_t size) {
  char message[8192];
  struct fuse_out_header header = {.len = sizeof(header) + size, .error = -error, .unique = to->unique};
  memcpy(message, &header, sizeof(header));
  memcpy(message + sizeof(header), data, size);
  // Whoever waited may be gone.
  if (write(device, message, header.len) < 0 && errno != ENOENT) _exit(1);
}

static void reply_node(int device, const struct fuse_in_header *to, const struct node *node) {
  struct fuse_entry_out entry = found(node);
  reply(device, to, 0, &entry, sizeof(entry));
}

static void list(int device, const struct fuse_in_header *request, const struct fuse_read_in *wanted) {
  char data[4096];
  size_t size = 0;
  uint64_t index = 0;
  for (struct entry *entry = entries; entry; entry = entry->next) {
    if (entry->folder != request->nodeid || index++ < wanted->offset) continue;
    size_t length = strlen(entry->name);
    size_t whole = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET + length);
    if (size + whole > sizeof(data) || size + whole > wanted->size) break;
    struct fuse_dirent dirent = {
      .ino = entry->node->id, .off = index, .namelen = length, .type = entry->node->mode >> 12};
    memset(data + size, 0, whole);
    memcpy(data + size, &dirent, FUSE_NAME_OFFSET);
    memcpy(data + size + FUSE_NAME_OFFSET, entry->name, length);
    size += whole;
  }
  reply(device, request, 0, data, size);
}

static int rename_node(const struct fuse_in_header *request, uint64_t to, unsigned flags, const char *old, const char *new) {
  struct entry **from = find(request->nodeid, old);
  struct entry **there = find(to, new);
  if (!from) return ENOENT;
  struct node *moved = (*from)->node;
  if (flags & RENAME_EXCHANGE) {
    if (!there) return ENOENT;
    (*from)->node = (*there)->node;
    (*there)->node = moved;
    return 0;
  }
  if (there && flags & RENAME_NOREPLACE) return EEXIST;
  if (there) {
    remove_entry(there);
    from = find(request->nodeid, old);
  }
  moved->links++;
  remove_entry(from);
  moved->links--;
  add(to, new, moved);
  if (flags & RENAME_WHITEOUT) add(request->nodeid, old, new_node(S_IFCHR, request->uid, request->gid));
  return 0;
}

static void answer(int device, const struct fuse_in_header *request, const void *data) {
  struct node *node = nodes[request->nodeid ? request->nodeid - 1 : 0];
  const char *text = data;
  switch (request->opcode) {
    case FUSE_INIT: {
      const struct fuse_init_in *in = data;
      struct fuse_init_out out = {.major = FUSE_KERNEL_VERSION,
                                  .minor = FUSE_KERNEL_MINOR_VERSION,
                                  .max_readahead = in->max_readahead,
                                  .flags = in->flags & (FUSE_POSIX_ACL | FUSE_DONT_MASK),
                                  .max_write = 4096,
                                  .time_gran = 1};
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
      return;
    case FUSE_LOOKUP: {
      struct entry **entry = find(request->nodeid, text);
      if (!entry) return reply(device, request, ENOENT, NULL, 0);
      return reply_node(device, request, (*entry)->node);
    }
    case FUSE_SETATTR: {
      const struct fuse_setattr_in *in = data;
      if (in->valid & FATTR_MODE) node->mode = (node->mode & S_IFMT) | (in->mode & 07777);
      if (in->valid & FATTR_UID) node->uid = in->uid;
      if (in->valid & FATTR_GID) node->gid = in->gid;
      if (in->valid & FATTR_SIZE) node->size = in->size;
    }
    // fall through
    case FUSE_GETATTR: {
      struct fuse_attr_out out = {.attr = attributes(node)};
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_MKDIR: {
      const struct fuse_mkdir_in *in = data;
      struct node *made = new_node(S_IFDIR | in->mode, request->uid, request->gid);
      return reply_node(device, request, add(request->nodeid, text + sizeof(*in), made)->node);
    }
    case FUSE_MKNOD: {
      const struct fuse_mknod_in *in = data;
      struct node *made = new_node(in->mode, request->uid, request->gid);
      made->device = in->rdev;
      return reply_node(device, request, add(request->nodeid, text + sizeof(*in), made)->node);
    }
    case FUSE_CREATE: {
      const struct fuse_create_in *in = data;
      struct node *made = new_node(in->mode, request->uid, request->gid);
      struct {
        struct fuse_entry_out entry;
        struct fuse_open_out open;
      } out = {.entry = found(add(request->nodeid, text + sizeof(*in), made)->node)};
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_SYMLINK: {
      struct node *made = new_node(S_IFLNK | 0777, request->uid, request->gid);
      made->target = strdup(text + strlen(text) + 1);
      return reply_node(device, request, add(request->nodeid, text, made)->node);
    }
    case FUSE_LINK: {
      const struct fuse_link_in *in = data;
      return reply_node(device, request,
                        add(request->nodeid, text + sizeof(*in), nodes[in->oldnodeid - 1])->node);
    }
    case FUSE_READLINK:
      return reply(device, request, 0, node->target, strlen(node->target));
    case FUSE_UNLINK:
    case FUSE_RMDIR: {
      struct entry **entry = find(request->nodeid, text);
      int error = !entry                                                                 ? ENOENT
                  : request->opcode == FUSE_RMDIR && !is_empty((*entry)->node->id) ? ENOTEMPTY
                                                                                         : 0;
      if (error == 0) remove_entry(entry);
      return reply(device, request, error, NULL, 0);
    }
    case FUSE_RENAME: {
      const struct fuse_rename_in *in = data;
      const char *old = text + sizeof(*in);
      return reply(device, request, rename_node(request, in->newdir, 0, old, old + strlen(old) + 1), NULL, 0);
    }
    case FUSE_RENAME2: {
      const struct fuse_rename2_in *in = data;
      const char *old = text + sizeof(*in);
      return reply(device, request, rename_node(request, in->newdir, in->flags, old, old + strlen(old) + 1), NULL, 0);
    }
    case FUSE_OPEN:
    case FUSE_OPENDIR: {
      struct fuse_open_out out = {0};
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_READDIR:
      return list(device, request, data);
    case FUSE_READ: {
      const struct fuse_read_in *in = data;
      size_t size = in->offset < node->size ? node->size - in->offset : 0;
      return reply(device, request, 0, node->bytes + in->offset, size < in->size ? size : in->size);
    }
    case FUSE_WRITE: {
      const struct fuse_write_in *in = data;
      struct fuse_write_out out = {.size = in->size};
      if (in->offset + in->size > sizeof(node->bytes)) return reply(device, request, EFBIG, NULL, 0);
      memcpy(node->bytes + in->offset, text + sizeof(*in), in->size);
      if (in->offset + in->size > node->size) node->size = in->offset + in->size;
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_STATFS: {
      struct fuse_statfs_out out = {.st = {.blocks = 1024, .bfree = 1024, .bavail = 1024, .bsize = 4096, .namelen = 63}};
      return reply(device, request, 0, &out, sizeof(out));
    }
    case FUSE_GETXATTR:
      return reply(device, request, ENODATA, NULL, 0);
    case FUSE_LISTXATTR: {
      struct fuse_getxattr_out out = {0};
      const struct fuse_getxattr_in *in = data;
      return reply(device, request, 0, &out, in->size == 0 ? sizeof(out) : 0);
    }
    case FUSE_SETXATTR:
    case FUSE_REMOVEXATTR:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_FLUSH:
    case FUSE_FSYNC:
      return reply(device, request, 0, NULL, 0);
    default:
      return reply(device, request, ENOSYS, NULL, 0);
  }
}

static int lifeline[2];

/* Servers live as long as this process. */
void prepare_fuse(void) { need(pipe2(lifeline, O_CLOEXEC) < 0, "pipe"); }

static void serve(int device) {
  // Whoever reads what the program says is not to wait for this process, too.
  int nowhere = open("/dev/null", O_RDWR);
  need(dup2(nowhere, 0) < 0 || dup2(nowhere, 1) < 0, "dup2");
  close(lifeline[1]);
  new_node(S_IFDIR | 0777, 0, 0)->links = 2;
  static char buffer[FUSE_MIN_READ_BUFFER + 4096];
  struct pollfd ends[] = {{.fd = device, .events = POLLIN}, {.fd = lifeline[0]}};
  while (poll(ends, 2, -1) > 0 && ends[1].revents == 0) {
    ssize_t size = read(device, buffer, sizeof(buffer));
    if (size > 0) answer(device, (void *)buffer, buffer + sizeof(struct fuse_in_header));
    // What was asked for may be taken back.
    else if (errno != ENOENT && errno != EINTR) return;
  }
}

/* Mounts it, and leaves a process that serves it. */
int mount_fuse(const char *path) {
  int device = open(ROOT "/.fuse", O_RDWR | O_CLOEXEC);
  if (device < 0) return errno;
  char options[128];
  snprintf(options, sizeof(options), "fd=%d,rootmode=40777,user_id=0,group_id=0,allow_other,default_permissions", device);
  int result = failure(mount("fuse", path, "fuse", 0, options) < 0);
  if (result != 0) return result;
  pid_t server = fork();
  need(server < 0, "fork");
  if (server == 0) {
    serve(device);
    _exit(0);
  }
  close(device);
  return 0;
}
