import {
  checkText,
  EBADF,
  EEXIST,
  EINVAL,
  EISDIR,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  IN_ATTRIB,
  IN_CLOSE_WRITE,
  IN_CREATE,
  IN_DELETE,
  IN_MODIFY,
  IN_MOVE_SELF,
  IN_MOVED_FROM,
  IN_MOVED_TO,
  IN_OPEN,
  outOfRange,
  SystemError,
} from '@sdrx/linux';
import { type Happens, VirtualInode } from './virtual-inode.js';

/**
 * A directory in which there is what is made in it. Who watches it, or what is in it, is told what Linux tells of each, in the same
 * order. Paths are relative to it, without `..`; TypeError and RangeError are thrown for others. Files have names and no content.
 */
export interface VirtualDirectory {
  /** By which it is watched. */
  readonly path: string;
  /** Makes a directory in it. mkdir(2). @throws EEXIST, ENOENT, ENOTDIR */
  makeDirectory(path: string): VirtualDirectory;
  /**
   * Opens a file to write to it, and makes it if there is none. open(2) with O_CREAT.
   * @throws EISDIR, ENOENT, ENOTDIR
   */
  open(path: string): VirtualFile;
  /** Opens a file, writes to it and closes it. @throws EISDIR, ENOENT, ENOTDIR */
  write(path: string): void;
  /** Changes who may do what with a file or directory. chmod(2). @throws ENOENT, ENOTDIR */
  chmod(path: string): void;
  /**
   * Gives a file or directory another name; one that has it is replaced. rename(2).
   * @throws ENOENT, ENOTDIR, EISDIR, ENOTEMPTY, and EINVAL for a directory that is to be within itself
   */
  rename(from: string, to: string): void;
  /** Removes a file or an empty directory. unlink(2), rmdir(2). @throws ENOENT, ENOTDIR, ENOTEMPTY */
  remove(path: string): void;
}

/** A file that is open. Its disposal closes it. */
export interface VirtualFile extends Disposable {
  /** Writes to it. @throws EBADF when it is closed */
  write(): void;
}

/** What directories have in common. */
export interface FileWorld {
  readonly happens: Happens;
  /** The files that are open. */
  readonly open: Set<VirtualInode>;
  /** A number for the two events of a rename. */
  cookie(): number;
}

export class Directory implements VirtualDirectory {
  readonly #world: FileWorld;
  readonly #inode: VirtualInode;

  constructor(world: FileWorld, inode: VirtualInode) {
    this.#world = world;
    this.#inode = inode;
  }

  get path(): string {
    return this.#inode.path;
  }

  makeDirectory(path: string): VirtualDirectory {
    const { parent, name, inode } = this.#find('mkdir', path);
    if (inode !== undefined) throw new SystemError(EEXIST, 'mkdir', path);
    const made = new VirtualInode('directory', name, parent);
    made.happensThere(IN_CREATE, this.#world.happens);
    return new Directory(this.#world, made);
  }

  open(path: string): VirtualFile {
    const { parent, name, inode } = this.#find('open', path);
    if (inode?.kind === 'directory') throw new SystemError(EISDIR, 'open', path);
    const file = inode ?? new VirtualInode('file', name, parent);
    if (inode === undefined) file.happensThere(IN_CREATE, this.#world.happens);
    return new OpenFile(this.#world, file);
  }

  write(path: string): void {
    using file = this.open(path);
    file.write();
  }

  chmod(path: string): void {
    this.#existing('chmod', path).happens(IN_ATTRIB, this.#world.happens);
  }

  rename(from: string, to: string): void {
    const { happens } = this.#world;
    const { inode } = this.#find('rename', from);
    const { parent, name, inode: replaced } = this.#find('rename', to);
    if (inode === undefined) throw new SystemError(ENOENT, 'rename', from);
    if (inode === replaced) return;
    if (inode.holds(parent)) throw new SystemError(EINVAL, 'rename', to, 'a directory can not be within itself');
    if (replaced?.holds(inode)) throw new SystemError(ENOTEMPTY, 'rename', to);
    if (replaced !== undefined && replaced.kind !== inode.kind)
      throw new SystemError(replaced.kind === 'directory' ? EISDIR : ENOTDIR, 'rename', to);
    requireEmpty('rename', to, replaced);
    const cookie = this.#world.cookie();
    inode.happensThere(IN_MOVED_FROM, happens, cookie);
    replaced?.remove();
    inode.move(parent, name);
    inode.happensThere(IN_MOVED_TO, happens, cookie);
    replaced?.loses(happens);
    happens(inode, { mask: IN_MOVE_SELF, cookie: 0, name: '' }, false);
    replaced?.endIfUnused(happens);
  }

  remove(path: string): void {
    const { happens } = this.#world;
    const inode = this.#existing('unlink', path);
    requireEmpty('rmdir', path, inode);
    inode.remove();
    if (inode.kind === 'file') inode.loses(happens);
    // Linux lets go of it first: its own end is told before its directory is.
    inode.endIfUnused(happens);
    inode.happensThere(IN_DELETE, happens);
  }

  /** @throws ENOENT, ENOTDIR */
  #existing(call: string, path: string): VirtualInode {
    const { inode } = this.#find(call, path);
    if (inode === undefined) throw new SystemError(ENOENT, call, path);
    return inode;
  }

  /** What a path leads to, and the directory that it is in. @throws ENOENT, ENOTDIR */
  #find(call: string, path: string): { parent: VirtualInode; name: string; inode: VirtualInode | undefined } {
    checkText('path', path);
    const names = path.split('/');
    if (names.some((name) => name === '' || name === '.' || name === '..'))
      throw outOfRange('path', 'relative to the directory, of names with a `/` between them', path);
    if (this.#inode.isRemoved) throw new SystemError(ENOENT, call, path, 'the directory was removed');
    const name = names.pop() ?? '';
    let parent = this.#inode;
    for (const step of names) {
      const next = entriesOf(call, path, parent).get(step);
      if (next === undefined) throw new SystemError(ENOENT, call, path);
      parent = next;
    }
    return { parent, name, inode: entriesOf(call, path, parent).get(name) };
  }
}

class OpenFile implements VirtualFile {
  readonly #world: FileWorld;
  readonly #inode: VirtualInode;
  #isClosed = false;

  constructor(world: FileWorld, inode: VirtualInode) {
    this.#world = world;
    this.#inode = inode;
    inode.opened++;
    world.open.add(inode);
    inode.happens(IN_OPEN, world.happens);
  }

  write(): void {
    if (this.#isClosed) throw new SystemError(EBADF, 'write', this.#inode.path);
    this.#inode.happens(IN_MODIFY, this.#world.happens);
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    if (--this.#inode.opened === 0) this.#world.open.delete(this.#inode);
    this.#inode.happens(IN_CLOSE_WRITE, this.#world.happens);
    this.#inode.endIfUnused(this.#world.happens);
  }
}

/** @throws ENOTDIR */
function entriesOf(call: string, path: string, { entries }: VirtualInode): Map<string, VirtualInode> {
  if (entries === undefined) throw new SystemError(ENOTDIR, call, path);
  return entries;
}

/** @throws ENOTEMPTY */
function requireEmpty(call: string, path: string, inode: VirtualInode | undefined): void {
  if ((inode?.entries?.size ?? 0) > 0) throw new SystemError(ENOTEMPTY, call, path);
}
