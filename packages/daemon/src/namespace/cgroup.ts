import {
  chmodSync,
  chownSync,
  type Dirent,
  fstatSync,
  lchownSync,
  lstatSync,
  opendirSync,
  openSync,
  readlinkSync,
  rmdirSync,
} from 'node:fs';
import { basename } from 'node:path';
import {
  CGROUP2_SUPER_MAGIC,
  E2BIG,
  ENOENT,
  EPERM,
  ESTALE,
  Fd,
  fileSystemType,
  isSystemError,
  O_DIRECTORY,
  O_NOFOLLOW,
  openByHandle,
  SystemError,
} from '@sdrx/linux';
import type { Steps } from '../program/slices.js';
import { mounts } from './mountinfo.js';

// The kind of handle that kernfs gives for its 64-bit ids, FILEID_KERNFS.
const FILEID_KERNFS = 0xfe;

/** How many cgroups one call deals with. What it removed is gone when the next one begins. */
const MAXIMUM = 100_000;

/** What others than the owner may do with a cgroup that is given back. */
const MODE = 0o755;

/** Ids that are used no more: `size` of them from `start` on, of groups from `startGid` on if that is another number. */
export interface DeadIds {
  readonly start: number;
  readonly startGid?: number;
  readonly size: number;
}

/**
 * Removes a cgroup and all below it, children first; harmless if it is gone already. What can't be removed, since processes
 * are in it, is given back to root as far as it belongs to the dead ids, so that who has them next owns nothing of it.
 *
 * Nobody is killed: no process of a dead namespace is left, so those in its cgroups are other users' or their owner's own, as
 * one who put a supervisor there. cgroups(7).
 *
 * A tree may be as deep and as large as its user likes. It is walked with one descriptor and without recursion; yields after
 * each step. No path is longer than a name, and none is followed out of the tree: a cgroup can't be moved.
 *
 * @param id the cgroup's 64-bit id, which is its directory's inode
 * @returns whether it is gone; else it was given back
 * Throws what kept it from being given back, when the rest is done: E2BIG for too many cgroups, of which others are left then;
 * ENOTDIR if the id is a file's; ENOENT if there is no cgroup v2; EMFILE.
 */
export function* removeCgroup(id: bigint, ids: DeadIds | undefined): Steps<boolean> {
  using root = openRoot();
  using cgroup = openCgroup(root.number, id);
  if (cgroup === undefined) return true;
  const dead = new DeadTree(ids);
  // The whole hierarchy is never removed, whoever gave it away.
  const isRoot = inodeOf(cgroup) === inodeOf(root);
  if (!isRoot) {
    yield* dead.removeBelow(cgroup);
    const name = yield* nameOf(cgroup, id);
    if (name === undefined || remove(`${pathOf(cgroup)}/../${name}`)) return true;
  }
  dead.giveBack(cgroup);
  dead.throwFailure();
  return false;
}

/** Those of a cgroup's files and cgroups that are of ids nobody has any more. */
class DeadTree {
  readonly #ids: DeadIds | undefined;
  readonly #failures: unknown[] = [];
  #count = 0;

  constructor(ids: DeadIds | undefined) {
    this.#ids = ids;
  }

  /** Removes, or else gives back, all cgroups below one, whose descriptor stays the caller's. */
  *removeBelow(top: Fd): Steps<void> {
    const above: { readonly inode: bigint; readonly name: string; readonly names: string[] }[] = [];
    let here = openChild(top, '.');
    let name = '';
    try {
      let names = yield* this.#children(here);
      for (;;) {
        const child = names.pop();
        if (child !== undefined) {
          if (remove(`${pathOf(here)}/${child}`)) continue;
          const inode = inodeOf(here);
          const below = this.#attempt(() => openChild(here, child));
          if (below === undefined) continue;
          above.push({ inode, name, names });
          here.close();
          [here, name] = [below, child];
          names = yield* this.#children(here);
        } else {
          const parent = above.pop();
          if (parent === undefined) return;
          using done = here;
          here = openChild(done, '..');
          if (inodeOf(here) !== parent.inode) throw new SystemError(ESTALE, 'open', '..');
          if (!remove(`${pathOf(here)}/${name}`)) this.giveBack(done);
          ({ name, names } = parent);
        }
        yield;
      }
    } finally {
      here.close();
    }
  }

  /** Makes root the owner of a cgroup, and of its files, as far as they are of the dead ids. */
  giveBack(cgroup: Fd): void {
    this.#attempt(() => {
      const path = pathOf(cgroup);
      this.#giveBackFile(`${path}/.`);
      for (const { name } of filesIn(cgroup)) this.#attempt(() => this.#giveBackFile(`${path}/${name}`));
    });
  }

  throwFailure(): void {
    if (this.#failures.length > 0) throw this.#failures[0];
  }

  #giveBackFile(path: string): void {
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status === undefined || status.isSymbolicLink()) return;
    const { uid, gid, mode } = status;
    if (!this.#isDead(uid, this.#ids?.start) && !this.#isDead(gid, this.#ids?.startGid ?? this.#ids?.start)) return;
    if (status.isDirectory()) chownSync(path, 0, 0);
    else lchownSync(path, 0, 0);
    chmodSync(path, mode & MODE);
  }

  #isDead(id: number, first: number | undefined): boolean {
    return this.#ids !== undefined && first !== undefined && id >= first && id < first + this.#ids.size;
  }

  /** The names of the cgroups in one. */
  *#children(cgroup: Fd): Steps<string[]> {
    const names: string[] = [];
    for (const { name, isDirectory } of filesIn(cgroup, true)) {
      if (!isDirectory) continue;
      if (++this.#count > MAXIMUM) {
        this.#failures.push(new SystemError(E2BIG, 'rmdir', `more than ${MAXIMUM} cgroups`));
        break;
      }
      names.push(name);
      yield;
    }
    return names;
  }

  /** Does one step of several; what is gone meanwhile is no failure. */
  #attempt<T>(step: () => T): T | undefined {
    try {
      return step();
    } catch (error) {
      if (!isSystemError(error)) throw error;
      if (!isSystemError(error, 'ENOENT', 'ENODEV')) this.#failures.push(inPrint(error));
      return undefined;
    }
  }
}

/** A failure as it may be said: its user chose the cgroup's name, in which any character but a slash may be. */
function inPrint(error: NodeJS.ErrnoException): SystemError {
  const name = basename(error.path ?? '').replace(
    /[^ -~]|\\/g,
    (character) => `\\x${character.charCodeAt(0).toString(16)}`,
  );
  return new SystemError(-(error.errno ?? 0), error.syscall ?? 'open', name);
}

/** The hierarchy's root, as it is mounted. */
function openRoot(): Fd {
  const mount = mounts().find(({ type, root }) => type === 'cgroup2' && root === '/')?.path;
  if (mount === undefined) throw new SystemError(ENOENT, 'open_by_handle_at', 'cgroup2');
  return requireCgroup2(new Fd(openSync(mount, O_DIRECTORY)), mount);
}

/** Undefined if it is gone. */
function openCgroup(root: number, id: bigint): Fd | undefined {
  const handle = Buffer.alloc(8);
  handle.writeBigUInt64LE(id);
  try {
    return requireCgroup2(openByHandle(root, FILEID_KERNFS, handle, O_DIRECTORY), String(id));
  } catch (error) {
    if (isSystemError(error, 'ESTALE')) return undefined;
    throw error;
  }
}

/** Gives the descriptor back if it is of a cgroup; else closes it. */
function requireCgroup2(fd: Fd, subject: string): Fd {
  try {
    if (fileSystemType(fd.number) !== CGROUP2_SUPER_MAGIC) throw new SystemError(EPERM, 'rmdir', subject);
    return fd;
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** What a cgroup is called in the one above it; undefined if it is not there any more. */
function* nameOf(cgroup: Fd, id: bigint): Steps<string | undefined> {
  try {
    const name = basename(readlinkSync(pathOf(cgroup)));
    // It may have been removed, and another one made in its place.
    return isNamed(cgroup, id, name) ? name : undefined;
  } catch (error) {
    if (!isSystemError(error, 'ENAMETOOLONG')) throw error;
  }
  // The kernel tells no path of more than a page.
  using above = openChild(cgroup, '..');
  for (const { name, isDirectory } of filesIn(above, true)) {
    if (isDirectory && isNamed(cgroup, id, name)) return name;
    yield;
  }
  return undefined;
}

function isNamed(cgroup: Fd, id: bigint, name: string): boolean {
  return lstatSync(`${pathOf(cgroup)}/../${name}`, { bigint: true, throwIfNoEntry: false })?.ino === id;
}

/** Files and, if wanted, directories of a cgroup, as they are read. */
function* filesIn(cgroup: Fd, directories = false): Generator<{ name: string; isDirectory: boolean }, void> {
  // One at a time: what Node has read of a batch it drops without a word when the next read is interrupted.
  const folder = opendirSync(pathOf(cgroup), { bufferSize: 1 });
  try {
    for (let file: Dirent | null = folder.readSync(); file !== null; file = folder.readSync()) {
      if (directories || !file.isDirectory()) yield { name: file.name, isDirectory: file.isDirectory() };
    }
  } finally {
    folder.closeSync();
  }
}

/** @returns false if it is in use, or can't be removed for another reason, twice: such a failure may pass */
function remove(path: string): boolean {
  for (let tries = 1; ; tries++) {
    try {
      rmdirSync(path);
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENODEV')) return true;
      if (!isSystemError(error)) throw error;
      if (tries === 2 || isSystemError(error, 'EBUSY', 'ENOTEMPTY')) return false;
    }
  }
}

function openChild(cgroup: Fd, name: string): Fd {
  return new Fd(openSync(`${pathOf(cgroup)}/${name}`, O_DIRECTORY | O_NOFOLLOW));
}

function pathOf({ number }: Fd): string {
  return `/proc/self/fd/${number}`;
}

function inodeOf({ number }: Fd): bigint {
  return fstatSync(number, { bigint: true }).ino;
}
