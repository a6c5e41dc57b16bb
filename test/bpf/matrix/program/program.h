/*
 * A program that tries, in user namespaces and on mounts of many kinds, everything that makes an inode or changes who owns
 * one, and says what came of it. It is told what to do line by line on its standard input; see main.c.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the mounts are, as folders of a tmpfs, and where on the machine's disk those folders are that need one. */
#define ROOT "/run/sdrx-matrix"
#define DISK "/var/tmp/sdrx-matrix"

/* The most mounts that there can be, and the longest description of a map. */
enum { MOUNTS = 64, MAP = 1024 };

/* A user namespace with a mount namespace, kept by a process of its own. */
struct user {
  char name[32];
  pid_t pid;
};

struct mount {
  char name[32];
  /* Who made it, in whose mount namespace alone it is to be seen; NULL for the outside. */
  struct user *user;
  /* Where the outside has what the mount shows, without its idmap; empty if nowhere. */
  char underlying[64];
  /* Of an overlay on somebody else's mount: where the disk has its upper layer. Then nothing is put on it. */
  char upper[64];
  /* The mount's idmap, in the form of `user`; empty if it has none. */
  char uids[MAP], gids[MAP];
};

/* Where a task tries, and with what. */
struct place {
  const struct mount *mount;
  /* The mount, as the task reaches it. */
  char path[128];
  /* The mount opened by somebody else and passed in; negative if that could not be. */
  int passed;
  /* The root of the task: where the tmpfs of all mounts is. */
  const char *base;
  /* Ids to give files to, as the task's namespace has them. */
  unsigned other_uid, other_gid;
  /* To the outside, which links what it is sent. */
  int outside;
};

struct attempt {
  const char *name;
  int (*try)(const struct place *place);
};

/* All that there are, up to one without a name. */
extern const struct attempt attempts[];

/* Ends the process with a message if `failed`. */
void need(bool failed, const char *what);
int failure(bool failed);
/* Runs it in a child process; its result is an errno. */
int in_child(int (*run)(const void *argument), const void *argument);

/* namespaces.c */
int find_user(const char *name, struct user **user);
int add_user(const char *name, const char *parent, const char *uids, const char *gids, pid_t *pid);
int join(const struct user *user, int kinds);
int unshare_user(int more, const char *uids, const char *gids);
int become(unsigned uid, unsigned gid);
int namespace_of_maps(const char *uids, const char *gids);
unsigned id_inside(const struct user *user, const char *file, unsigned id);
unsigned mapped_up(const char *map, unsigned id);
int take_step(const char *step, const char **base);

/* mounts.c */
int add_mount(const char *name, const char *user, const char *kind, const char *uids, const char *gids);
struct mount *find_mount(const char *name);
int open_as_maker(const struct mount *mount);
void furnish(const struct mount *mount, unsigned uid, unsigned gid);
void tell_left(const struct mount *mount);
/* Closes it, too. */
void remove_all(int folder);
void clean(const struct mount *mount);

/* passing.c */
int send_fd(int socket, const void *data, size_t size, int fd);
int receive_fd(int socket, void *data, size_t size);

/* uring.c */
int uring_mkdir(int folder, const char *name);
int uring_open(int folder, const char *name, int flags);
int uring_symlink(const char *to, int folder, const char *name);
int uring_link(int old_folder, const char *old, int folder, const char *name);
int uring_rename(int old_folder, const char *old, int folder, const char *name, unsigned flags);

/* fuse.c */
void prepare_fuse(void);
int mount_fuse(const char *path);
