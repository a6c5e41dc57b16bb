import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import {
  EBADMSG,
  EEXIST,
  ENOENT,
  EROFS,
  Fd,
  isSystemError,
  lockExclusive,
  SystemError,
  tryLockExclusive,
  unlock,
} from '@sdrx/linux';
import { formatNamespaceEntry, type NamespaceEntry, parseNamespaceEntry } from './namespace-entry.js';
import { isNamespaceName } from './namespace-name.js';

const LINK = /^(?:n.*|u\d+)\.userns$/s;
const ENTRY = /^i([1-9]\d{0,9})\.userns$/;
const OWNER_DIRECTORY = /^o\d+\.owns$/;
const TEMPORARY = /^\.#/;

/** What `Registry.repair` did, by names of files in the registry. */
export interface Repair {
  /** Left behind by a process that was killed, and now gone. */
  readonly removed: readonly string[];
  /** Lost by, or out of step with, the entry that they belong to, and now linked to it again. */
  readonly restored: readonly string[];
}

/**
 * The registered user namespaces, as files that systemd-nsresourced and this daemon share and can take over from each
 * other: `i<inode>.userns` is the entry, and three hard links to it find it by name, by first id and by owner.
 *
 * A process may be killed between any two system calls. An entry exists exactly while its `i` file does: that one
 * appears last and goes first, each in one atomic step. A link without it stands for nothing and is in nobody's way.
 *
 * Reading needs no lock. Whatever changes something takes the lock for itself, but to decide by what was read, hold it
 * from the reading on. All is synchronous, so that no other work of this process comes in between.
 */
export class Registry implements Disposable {
  readonly #directory: string;
  readonly #lock: Fd | undefined;
  #holders = 0;
  #temporaries = 0;
  /**
   * What to do, over and over, while another process has the lock, instead of just waiting: for a process that who has
   * the lock may be waiting for. It must wait a little itself.
   */
  whileWaiting: (() => void) | undefined;

  private constructor(directory: string, lock?: Fd) {
    this.#directory = directory;
    this.#lock = lock;
  }

  /** Opens `nsresource/registry` below the runtime directory, creating what is missing with mode 0755. */
  static open(runtimeDirectory: string): Registry {
    const directory = `${runtimeDirectory}/nsresource/registry`;
    mkdirSync(directory, { recursive: true, mode: 0o755 });
    return new Registry(directory, new Fd(openSync(`${directory}/lock`, 'a+', 0o600)));
  }

  /** Opens it only to be read, which every user may; nothing is created. What would change something throws EROFS. */
  static view(runtimeDirectory: string): Registry {
    return new Registry(`${runtimeDirectory}/nsresource/registry`);
  }

  /**
   * Waits until no other process changes the registry and keeps it so until disposed of. flock(2). Locks of one process
   * nest; the last one to go gives it back.
   */
  lock(): Disposable {
    const lock = this.#lock;
    if (lock === undefined) throw new SystemError(EROFS, 'flock', this.#directory);
    if (this.#holders === 0) this.#takeLock(lock);
    this.#holders++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held && --this.#holders === 0) unlock(lock.number);
        held = false;
      },
    };
  }

  #takeLock(lock: Fd): void {
    while (this.whileWaiting !== undefined) {
      if (tryLockExclusive(lock.number)) return;
      this.whileWaiting();
    }
    lockExclusive(lock.number);
  }

  /**
   * The inodes of all registered namespaces.
   * @param onOdd is told each file that has no place in a registry
   */
  inodes(onOdd: (file: string) => void = () => {}): number[] {
    const inodes: number[] = [];
    for (const file of readdirSync(this.#directory)) {
      const inode = inodeOf(file);
      if (inode !== undefined) inodes.push(inode);
      else if (!isOurs(file)) onOdd(file);
    }
    return inodes;
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this inode. */
  byInode(inode: number): NamespaceEntry | undefined {
    return this.#read(entryFile(inode), (entry) => entry.userns === inode);
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this name. */
  byName(name: string): NamespaceEntry | undefined {
    if (!isNamespaceName(name)) return undefined;
    return this.#read(nameLink(name), (entry) => entry.name === name);
  }

  /** Finds a range by its first id. Throws EBADMSG, named after the file, if it does not hold an entry with this one. */
  byStart(start: number): NamespaceEntry | undefined {
    return this.#read(startLink(start), (entry) => entry.range?.start === start);
  }

  /** Whether a registered namespace has this name. One that can't be read keeps its name. */
  hasName(name: string): boolean {
    return isNamespaceName(name) && this.#isTaken(nameLink(name));
  }

  /** Whether a registered range begins with this id. One that can't be read keeps its range. */
  hasStart(start: number): boolean {
    return this.#isTaken(startLink(start));
  }

  /** Whether a user has `count` namespaces or more. */
  hasAtLeast(count: number, owner: number): boolean {
    const links = this.#list(ownerDirectory(owner)).filter((file) => inodeOf(file) !== undefined);
    // Few are left over from a process that was killed: mostly it need not be looked which have an entry.
    return links.length >= count && links.filter((file) => existsSync(this.#path(file))).length >= count;
  }

  /** Registers a namespace. Throws EEXIST, named after the file, if its inode, name or first id is registered already. */
  store(entry: NamespaceEntry): void {
    using _lock = this.lock();
    const file = entryFile(entry.userns);
    if (existsSync(this.#path(file))) throw new SystemError(EEXIST, 'link', this.#path(file));
    const temporary = this.#write(entry);
    const linked: string[] = [];
    try {
      mkdirSync(this.#path(ownerDirectory(entry.owner)), { recursive: true, mode: 0o755 });
      for (const link of linksOf(entry)) {
        this.#vacate(link);
        linkSync(this.#path(temporary), this.#path(link));
        linked.push(link);
      }
      renameSync(this.#path(temporary), this.#path(file));
    } catch (error) {
      for (const link of [...linked.reverse(), temporary]) attempt(() => this.#discard(link));
      attempt(() => this.#discardIfEmpty(ownerDirectory(entry.owner)));
      throw error;
    }
  }

  /**
   * Writes the cgroups of a registered namespace anew; nothing else of an entry ever changes. Readers find the old ones
   * or the new ones. Throws ENOENT if it is not registered, EBADMSG if what is registered can't be read.
   */
  update({ userns, cgroups }: NamespaceEntry): void {
    using _lock = this.lock();
    const file = entryFile(userns);
    const stored = this.byInode(userns);
    if (stored === undefined) throw new SystemError(ENOENT, 'rename', this.#path(file));
    const temporary = this.#write({ ...stored, cgroups });
    renameSync(this.#path(temporary), this.#path(file));
    for (const link of linksOf(stored)) this.#relink(file, link);
  }

  /**
   * Removes what is there of an entry; harmless if nothing is. A step that fails does not keep the others from being
   * done; the first failure is thrown after them.
   * @param which an inode does for an entry that can't be read, too, at the price of reading all others
   */
  remove(which: NamespaceEntry | number): void {
    using _lock = this.lock();
    const inode = typeof which === 'number' ? which : which.userns;
    const file = entryFile(inode);
    const identity = this.#identity(file);
    const steps: (() => void)[] = [() => this.#discard(file)];
    try {
      const entry = this.byInode(inode) ?? (typeof which === 'number' ? undefined : which);
      if (entry !== undefined) {
        for (const link of linksOf(entry)) steps.push(() => this.#discardOwn(link, inode, identity));
        steps.push(() => this.#discardIfEmpty(ownerDirectory(entry.owner)));
      }
    } catch {
      // It can't say what its links are, but without their entry they are orphans.
      steps.push(() => this.repair());
    }
    const failures = steps.flatMap(attempt);
    if (failures.length > 0) throw failures[0];
  }

  /**
   * Cleans up after processes that were killed while they changed something: removes temporary files, links without
   * their entry and empty directories, and gives an entry back the links that it lost. Entries themselves stay, those
   * that can't be read with all their links.
   */
  repair(): Repair {
    using _lock = this.lock();
    const removed: string[] = [];
    const restored: string[] = [];
    const expected = new Map<string, string>();
    const unreadable = new Set<bigint | undefined>();
    for (const inode of this.inodes()) {
      const file = entryFile(inode);
      try {
        const entry = this.byInode(inode);
        if (entry !== undefined) for (const link of linksOf(entry)) expected.set(link, file);
      } catch (error) {
        if (!isSystemError(error, 'EBADMSG')) throw error;
        unreadable.add(this.#identity(file));
      }
    }
    const files = readdirSync(this.#directory);
    const directories = files.filter((file) => OWNER_DIRECTORY.test(file));
    const owned = directories.flatMap((directory) => this.#list(directory).map((file) => `${directory}/${file}`));
    for (const file of [...files, ...owned]) {
      const name = file.slice(file.indexOf('/') + 1);
      const isLink = file === name ? LINK.test(name) : inodeOf(name) !== undefined;
      const isOrphan = isLink && !expected.has(file) && !unreadable.has(this.#identity(file));
      if (isOrphan || TEMPORARY.test(name)) {
        this.#discard(file);
        removed.push(file);
      }
    }
    for (const [link, file] of expected) {
      if (this.#identity(link) === this.#identity(file)) continue;
      mkdirSync(this.#path(link.slice(0, link.lastIndexOf('/') + 1)), { recursive: true, mode: 0o755 });
      this.#relink(file, link);
      restored.push(link);
    }
    for (const directory of directories) if (this.#discardIfEmpty(directory)) removed.push(directory);
    return { removed, restored };
  }

  /** Where it is. */
  get directory(): string {
    return this.#directory;
  }

  /** Closes the lock's file. */
  [Symbol.dispose](): void {
    this.#lock?.close();
  }

  #path(file: string): string {
    return `${this.#directory}/${file}`;
  }

  #read(file: string, agrees: (entry: NamespaceEntry) => boolean = () => true): NamespaceEntry | undefined {
    const path = this.#path(file);
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
    const entry = parseNamespaceEntry(text);
    if (entry === undefined || !agrees(entry)) throw new SystemError(EBADMSG, 'read', path);
    return entry;
  }

  /** Whether a link is there, and so is the entry that it was made for, even if that was written anew since. */
  #isTaken(link: string): boolean {
    if (!existsSync(this.#path(link))) return false;
    try {
      const inode = this.#read(link)?.userns;
      const entry = inode === undefined ? undefined : this.byInode(inode);
      return entry !== undefined && linksOf(entry).includes(link);
    } catch (error) {
      if (isSystemError(error, 'EBADMSG')) return true;
      throw error;
    }
  }

  /** Makes room for a new link: one that a killed process left behind goes, one that is taken is EEXIST. */
  #vacate(link: string): void {
    if (this.#isTaken(link)) throw new SystemError(EEXIST, 'link', this.#path(link));
    if (existsSync(this.#path(link))) this.#discard(link);
  }

  /** Writes a file that nobody looks for, in the registry itself, so that it can be linked and renamed there. */
  #write(entry: NamespaceEntry): string {
    const temporary = this.#temporary();
    try {
      writeFileSync(this.#path(temporary), formatNamespaceEntry(entry), { flag: 'wx', mode: 0o644 });
    } catch (error) {
      attempt(() => this.#discard(temporary));
      throw error;
    }
    return temporary;
  }

  /** Makes `link` a hard link of `file`, without a moment in which there is none. */
  #relink(file: string, link: string): void {
    const temporary = this.#temporary();
    linkSync(this.#path(file), this.#path(temporary));
    renameSync(this.#path(temporary), this.#path(link));
  }

  #temporary(): string {
    const random = Math.floor(Math.random() * 2 ** 48).toString(16);
    return `.#${process.pid}-${this.#temporaries++}-${random}`;
  }

  #list(directory: string): string[] {
    try {
      return readdirSync(this.#path(directory));
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  /** Which file it is; undefined if it is gone. */
  #identity(file: string): bigint | undefined {
    return lstatSync(this.#path(file), { bigint: true, throwIfNoEntry: false })?.ino;
  }

  #discard(file: string): void {
    try {
      unlinkSync(this.#path(file));
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
    }
  }

  /**
   * Removes a link unless it holds the entry of another namespace, or one that can't be read.
   * @param identity of the entry's file, which a link is unless the entry was written anew since
   */
  #discardOwn(link: string, inode: number, identity: bigint | undefined): void {
    try {
      const isOwn = identity !== undefined && this.#identity(link) === identity;
      if (isOwn || this.#read(link)?.userns === inode) this.#discard(link);
    } catch (error) {
      if (!isSystemError(error, 'EBADMSG')) throw error;
    }
  }

  #discardIfEmpty(directory: string): boolean {
    try {
      rmdirSync(this.#path(directory));
      return true;
    } catch (error) {
      if (isSystemError(error, 'ENOENT', 'ENOTEMPTY')) return false;
      throw error;
    }
  }
}

function entryFile(inode: number): string {
  return `i${inode}.userns`;
}

function nameLink(name: string): string {
  return `n${name}.userns`;
}

function startLink(start: number): string {
  return `u${start}.userns`;
}

function ownerDirectory(owner: number): string {
  return `o${owner}.owns`;
}

/** All names of an entry's file but the first. */
function linksOf({ owner, name, userns, range }: NamespaceEntry): string[] {
  const start = range === undefined ? [] : [startLink(range.start)];
  return [nameLink(name), ...start, `${ownerDirectory(owner)}/${entryFile(userns)}`];
}

function inodeOf(file: string): number | undefined {
  const inode = Number(ENTRY.exec(file)?.[1]);
  return inode <= 0xffff_ffff ? inode : undefined;
}

/** Whether a file other than an entry has its place in a registry. */
function isOurs(file: string): boolean {
  return file === 'lock' || LINK.test(file) || OWNER_DIRECTORY.test(file) || TEMPORARY.test(file);
}

/** Does one step of several; what it threw, if anything. */
function attempt(step: () => void): unknown[] {
  try {
    step();
    return [];
  } catch (error) {
    return [error];
  }
}
