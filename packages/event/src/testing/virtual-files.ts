import { posix } from 'node:path';
import {
  EEXIST,
  ENOENT,
  ENOTDIR,
  IN_EXCL_UNLINK,
  IN_MASK_CREATE,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  type InotifyRecord,
  SystemError,
} from '@sdrx/linux';
import type { ReadyList } from './ready-list.js';
import { Directory, type FileWorld, type VirtualDirectory } from './virtual-directory.js';
import { VirtualInode } from './virtual-inode.js';
import { type FileRecord, VirtualInotify } from './virtual-inotify.js';

/** What happens to a file: an IN_* mask, and in a directory the name of the file. */
export interface VirtualFileEvent {
  /** IN_* of inotify(7). With IN_Q_OVERFLOW all are told, who watch whatever it is, that events were lost. */
  readonly mask: number;
  /** The same for both events of a rename. */
  readonly cookie?: number;
  /** The file within a watched directory. */
  readonly name?: string;
}

/** The files that can be watched: in a directory that was made those in it, and else whatever has a path. */
export class VirtualFiles implements FileWorld {
  /** What opens files that are open still. */
  readonly open = new Set<VirtualInode>();
  /** Those with IN_EXCL_UNLINK have an instance for themselves, as on Linux. */
  readonly #exclusive: VirtualInotify<VirtualInode>;
  readonly #others: VirtualInotify<VirtualInode>;
  /** By path: directories that were made, and what was asked for. */
  readonly #roots = new Map<string, VirtualInode>();
  #cookies = 0;

  constructor(list: ReadyList) {
    this.#exclusive = new VirtualInotify(list);
    this.#others = new VirtualInotify(list);
  }

  /** @throws ENOENT, ENOTDIR, EEXIST */
  listen(which: string | Uint8Array, mask: number, listener: (record: InotifyRecord) => void): () => void {
    const path = typeof which === 'string' ? which : Buffer.from(which).toString();
    const inode = this.#find(path);
    const inotify = (mask & IN_EXCL_UNLINK) === 0 ? this.#others : this.#exclusive;
    if ((mask & IN_ONLYDIR) !== 0 && inode.kind === 'file') throw new SystemError(ENOTDIR, 'inotify_add_watch', path);
    if ((mask & IN_MASK_CREATE) !== 0 && inotify.watches(inode))
      throw new SystemError(EEXIST, 'inotify_add_watch', path);
    return inotify.listen(inode, mask, listener);
  }

  /** @returns whether anybody watches it. @throws ENOENT, ENOTDIR */
  happen(path: string, { mask, cookie = 0, name = '' }: VirtualFileEvent): boolean {
    const inode = this.#find(path);
    const isWatched = [this.#others, this.#exclusive].some((inotify) => inotify.watches(inode));
    if ((mask & IN_Q_OVERFLOW) === 0) this.happens(inode, { mask, cookie, name }, false);
    else for (const inotify of [this.#others, this.#exclusive]) inotify.overflow();
    return isWatched;
  }

  /** @throws EEXIST for one that was made already, ENOENT and ENOTDIR within another */
  makeDirectory(path: string): VirtualDirectory {
    const [root, rest] = this.#rootOf(path);
    if (rest !== undefined) return new Directory(this, root).makeDirectory(rest);
    if (root.kind === 'directory') throw new SystemError(EEXIST, 'mkdir', path);
    root.becomeDirectory();
    return new Directory(this, root);
  }

  readonly happens = (inode: VirtualInode, record: FileRecord, unlinked: boolean): void => {
    this.#others.happen(inode, record);
    if (!unlinked) this.#exclusive.happen(inode, record);
  };

  cookie(): number {
    return ++this.#cookies;
  }

  /** @throws ENOENT, ENOTDIR */
  #find(path: string): VirtualInode {
    const [root, rest] = this.#rootOf(path);
    let inode = root;
    for (const name of rest?.split('/') ?? []) {
      if (inode.entries === undefined) throw new SystemError(ENOTDIR, 'inotify_add_watch', path);
      const next = inode.entries.get(name);
      if (next === undefined) throw new SystemError(ENOENT, 'inotify_add_watch', path);
      inode = next;
    }
    return inode;
  }

  /** The directory that was made and that a path leads into, and the rest of the path; else what the path is of itself. */
  #rootOf(path: string): [root: VirtualInode, rest?: string] {
    const normal = posix.join(path).replace(/(?<=.)\/$/, '');
    for (const [made, root] of this.#roots) {
      if (root.kind === 'directory' && normal.startsWith(`${made}/`)) return [root, normal.slice(made.length + 1)];
    }
    const root = this.#roots.get(normal) ?? new VirtualInode('unknown', normal);
    this.#roots.set(normal, root);
    return [root];
  }
}
