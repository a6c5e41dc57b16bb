import { openSync, readdirSync, readlinkSync } from 'node:fs';
import {
  CLONE_NEWUSER,
  Fd,
  fileSystemType,
  isSystemError,
  NSFS_MAGIC,
  namespaceInode,
  namespaceType,
  O_PATH,
  owningUserNamespace,
  parentNamespace,
} from '@sdrx/linux';
import { mounts } from './mountinfo.js';

const CLONE_NEWPID = 0x2000_0000;

/** How /proc writes what a descriptor or a mount stands for if that is a namespace. Pipes and sockets look much the same. */
const NAMESPACE = /^(cgroup|ipc|mnt|net|pid|time|user|uts):\[(\d+)\]$/;

/**
 * The inodes of all user namespaces that are found in use: those that a thread is in, that a descriptor or a bind mount
 * stands for, that own a namespace found in one of these ways, and the parents of them all. Processes that come and go
 * meanwhile do no harm. namespaces(7).
 *
 * Needs root and CAP_SYS_PTRACE. It can't see a descriptor under way in a socket or opened through a mount that is gone
 * since, or a mount in no mount namespace.
 */
export function liveUserNamespaces(): Set<number> {
  const scan = new Scan();
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const task of list(`/proc/${pid}/task`)) scan.thread(Number(pid), Number(task));
    for (const fd of list(`/proc/${pid}/fd`)) scan.link(`/proc/${pid}/fd/${fd}`);
  }
  return scan.users;
}

class Scan {
  readonly users = new Set<number>();
  /** The namespaces that were followed to their owners and parents. No two kinds share an inode. */
  readonly #followed = new Set<number>();
  /** The mount namespaces that were searched. */
  readonly #searched = new Set<string>();

  /** The namespaces of a thread, and those that are mounted where it is, once for each mount namespace. */
  thread(pid: number, task: number): void {
    const directory = `/proc/${pid}/task/${task}/ns`;
    for (const name of list(directory)) this.link(`${directory}/${name}`);
    const place = tolerate(() => readlinkSync(`${directory}/mnt`));
    if (place === undefined || this.#searched.has(place)) return;
    const mounted = tolerate(() => mounts(task));
    if (mounted === undefined) return;
    this.#searched.add(place);
    for (const { type, root, path } of mounted) {
      if (type === 'nsfs') this.#find(root, `/proc/${task}/root${path}`);
    }
  }

  /** What a link of /proc stands for, if that is a namespace. */
  link(path: string): void {
    const name = tolerate(() => readlinkSync(path));
    if (name !== undefined) this.#find(name, path);
  }

  #find(name: string, path: string): void {
    const [, kind, inode] = NAMESPACE.exec(name) ?? [];
    if (inode === undefined || this.#followed.has(Number(inode))) return;
    // Also when it can't be opened any more: who else has it may come later.
    if (kind === 'user') this.users.add(Number(inode));
    // Another file may be there by now, which must not notice that it is looked at.
    using place = open(path, O_PATH);
    if (place === undefined || fileSystemType(place.number) !== NSFS_MAGIC) return;
    using namespace = open(`/proc/self/fd/${place.number}`, 0);
    if (namespace !== undefined) this.#follow(namespace.number);
  }

  /** Goes from a namespace to its owner and its parent; the parent of a user namespace is its owner. */
  #follow(namespace: number): void {
    const inode = namespaceInode(namespace);
    if (this.#followed.has(inode)) return;
    this.#followed.add(inode);
    const kind = namespaceType(namespace);
    if (kind === CLONE_NEWUSER) this.users.add(inode);
    using owner = tolerate(() => owningUserNamespace(namespace));
    if (owner !== undefined) this.#follow(owner.number);
    using parent = kind === CLONE_NEWPID ? tolerate(() => parentNamespace(namespace)) : undefined;
    if (parent !== undefined) this.#follow(parent.number);
  }
}

function open(path: string, flags: number): Fd | undefined {
  const fd = tolerate(() => openSync(path, flags));
  return fd === undefined ? undefined : new Fd(fd);
}

function list(directory: string): string[] {
  return tolerate(() => readdirSync(directory)) ?? [];
}

/** Undefined for what has vanished or is not for us to see; but a failure of our own must not make anything look dead. */
function tolerate<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (isSystemError(error, 'ENOENT', 'ESRCH', 'EACCES', 'EPERM', 'ENOTDIR', 'ELOOP', 'EINVAL')) return undefined;
    throw error;
  }
}
