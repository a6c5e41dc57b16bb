import { type Dir, opendirSync, openSync, readlinkSync } from 'node:fs';
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
import type { Steps } from '../program/slices.js';
import { type NamespaceMount, namespaceMounts, ownDevices } from './mountinfo.js';

const CLONE_NEWPID = 0x2000_0000;

/** How many files of a folder are asked for at a time. */
const BATCH = 256;

/** How /proc writes what a descriptor or a mount stands for if that is a namespace. Pipes and sockets look much the same. */
const NAMESPACE = /^(cgroup|ipc|mnt|net|pid|time|user|uts):\[(\d+)\]$/;

/**
 * The inodes of all user namespaces that are found in use: those that a thread is in, that a descriptor or a bind mount
 * stands for, that own a namespace found in one of these ways, and the parents of them all. Processes that come and go
 * meanwhile do no harm. namespaces(7). Yields after each step, as one user may have a million descriptors.
 *
 * Needs root and CAP_SYS_PTRACE. It can't see a descriptor under way in a socket or opened through a mount that is gone
 * since, a mount in no mount namespace, or one of a namespace other than a user namespace on a file system that may ask a
 * process of any user for every name (FUSE, and overlayfs on it): that could hang us.
 */
export function* liveUserNamespaces(): Steps<ReadonlySet<number>> {
  const scan = new Scan();
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const task of list(`/proc/${pid}/task`)) yield* scan.thread(Number(pid), Number(task));
    for (const fd of list(`/proc/${pid}/fd`)) {
      scan.link(`/proc/${pid}/fd/${fd}`);
      yield;
    }
  }
  return scan.users;
}

class Scan {
  readonly users = new Set<number>();
  /** The namespaces that were followed to their owners and parents. No two kinds share an inode. */
  readonly #followed = new Set<number>();
  readonly #trusted = ownDevices();
  /** The mount namespaces that were searched. */
  readonly #searched = new Set<string>();

  /** The namespaces of a thread, and those that are mounted where it is, once for each mount namespace. */
  *thread(pid: number, task: number): Steps<void> {
    const directory = `/proc/${pid}/task/${task}/ns`;
    for (const name of list(directory)) this.link(`${directory}/${name}`);
    yield;
    const place = tolerate(() => readlinkSync(`${directory}/mnt`));
    if (place === undefined || this.#searched.has(place)) return;
    const mounted = yield* namespaceMounts(task, this.#trusted);
    if (mounted === undefined) return;
    this.#searched.add(place);
    for (const mount of mounted) {
      this.#mounted(mount, `/proc/${task}/root`);
      yield;
    }
  }

  #mounted({ root, path, isSafe }: NamespaceMount, place: string): void {
    const [, kind, inode] = NAMESPACE.exec(root) ?? [];
    // What it is tells its name; only whose it is must be asked.
    if (kind === 'user') this.users.add(Number(inode));
    if (isSafe) this.#find(root, `${place}${path}`);
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

/** The names in a folder, a few at a time. */
function* list(directory: string): Generator<string, void> {
  const folder = tolerate(() => opendirSync(directory, { bufferSize: BATCH }));
  if (folder === undefined) return;
  try {
    for (let name = next(folder); name !== undefined; name = next(folder)) yield name;
  } finally {
    folder.closeSync();
  }
}

function next(folder: Dir): string | undefined {
  return tolerate(() => folder.readSync())?.name;
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
