import { type Dirent, mkdirSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { EEXIST, ENOENT, EROFS, Fd, isSystemError, SystemError } from '@sdrx/linux';
import { type Observable, throwError } from 'rxjs';
import { isNamespaceName } from '../namespace/namespace-name.js';
import { firstIdOf } from '../namespace/uid-range.js';
import { attempt } from '../program/attempt.js';
import { MisalignedRanges } from './misaligned-ranges.js';
import { type Delegate, firstGid, formatNamespaceEntry, hasUid, type NamespaceEntry } from './namespace-entry.js';
import { RegistryFolder } from './registry-folder.js';
import { type AcquireOptions, RegistryLock } from './registry-lock.js';
import {
  delegationFiles,
  entryFile,
  gidDelegation,
  gidLink,
  inodeOf,
  kindOf,
  LOCK,
  linksOf,
  nameLink,
  ownerFolder,
  ownerLink,
  ownerOf,
  startOf,
  uidDelegation,
  uidLink,
} from './registry-names.js';
import { RegistryReader } from './registry-reader.js';
import { RegistryRepair, type Repair, undelegated } from './registry-repair.js';
import { UnfinishedChange } from './unfinished-change.js';

/** How many names of an unfinished change are kept until it can be finished. */
const LEFT_MAX = 100;

/** How many ranges are kept in mind. */
const RANGES_MAX = 4096;

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
  readonly #lock: RegistryLock | undefined;
  readonly #folder: RegistryFolder;
  readonly #reader: RegistryReader;
  readonly #repair: RegistryRepair;
  readonly #misaligned: MisalignedRanges;
  readonly #unfinished: UnfinishedChange | undefined;
  /** Ranges that were looked for by one of their ids, by the first one, with the stamp that the entry's file had. */
  readonly #ranges = new Map<number, { readonly entry: NamespaceEntry; readonly stamp: string }>();
  /** Of unfinished changes, the files that could not be put right either; undefined if it may be any. */
  #left: readonly string[] | undefined = [];
  /**
   * What to do, over and over, while another process has the lock, instead of just waiting: for a process that who has
   * the lock may be waiting for. It must wait a little itself.
   */
  whileWaiting: (() => void) | undefined;

  private constructor(folder: RegistryFolder, lock?: Fd) {
    this.#lock = lock && new RegistryLock(lock, `${folder.path}/${LOCK}`);
    this.#folder = folder;
    this.#reader = new RegistryReader(folder);
    this.#repair = new RegistryRepair(this.#reader);
    this.#misaligned = new MisalignedRanges(this.#reader);
    this.#unfinished = lock && new UnfinishedChange(lock.number);
  }

  /** Opens `nsresource/registry` below the runtime directory, creating what is missing with mode 0755. */
  static open(runtimeDirectory: string): Registry {
    const folder = folderIn(runtimeDirectory);
    mkdirSync(folder.path, { recursive: true, mode: 0o755 });
    return new Registry(folder, new Fd(folder.openLock(LOCK)));
  }

  /** Opens it only to be read, which every user may; nothing is created. What would change something throws EROFS. */
  static view(runtimeDirectory: string): Registry {
    return new Registry(folderIn(runtimeDirectory));
  }

  /**
   * Waits, with all of this process, until no other one changes the registry, and keeps it so until disposed of. flock(2). Locks of one process
   * nest; the last one to go gives it back.
   */
  lock(): Disposable {
    if (this.#lock === undefined) throw this.#readOnly();
    return this.#lock.hold(this.whileWaiting);
  }

  /**
   * Waits for the lock without holding up the loop, then emits it once and completes. It is held until the subscriber has dealt
   * with it, or has disposed of it: what needs it has to be done by then, synchronously, and nothing that may block. To
   * unsubscribe is to wait no longer. Fails with EBUSY when the limit is over.
   */
  acquire(loop: EventLoop, options: AcquireOptions = {}): Observable<Disposable> {
    return this.#lock?.acquire(loop, options) ?? throwError(() => this.#readOnly());
  }

  /**
   * Claims a namespace for its release, which other processes and other work of this one can't claim meanwhile. The lock
   * itself is free: what a release does may take long. A claim goes with its process.
   * @returns what gives it back; undefined if somebody else has it
   */
  claim(inode: number): Disposable | undefined {
    if (this.#lock === undefined) throw this.#readOnly();
    return this.#lock.claim(inode);
  }

  #readOnly(): SystemError {
    return new SystemError(EROFS, 'flock', this.directory);
  }

  /**
   * The inodes of all registered namespaces.
   * @param onOdd is told each file that has no place in a registry
   */
  inodes(onOdd: (file: string) => void = () => {}): number[] {
    const inodes: number[] = [];
    for (const file of this.#folder.list()) {
      const inode = file.isFile() ? inodeOf(file.name) : undefined;
      if (inode !== undefined) inodes.push(inode);
      else if (!hasPlace(file)) onOdd(file.name);
    }
    return inodes;
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this inode. */
  byInode(inode: number): NamespaceEntry | undefined {
    return this.#reader.entry(inode);
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this name. */
  byName(name: string): NamespaceEntry | undefined {
    if (!isNamespaceName(name)) return undefined;
    return this.#reader.byLink(nameLink(name), (entry) => entry.name === name);
  }

  /** Finds a range by its first uid. Throws EBADMSG, named after the file, if it does not hold an entry with this one. */
  byStart(start: number): NamespaceEntry | undefined {
    return this.#reader.byLink(uidLink(start), (entry) => entry.range?.start === start);
  }

  /** Finds a range by its first gid. Throws EBADMSG, named after the file, if it does not hold an entry with this one. */
  byStartGid(start: number): NamespaceEntry | undefined {
    return this.#reader.byLink(gidLink(start), ({ range }) => range !== undefined && firstGid(range) === start);
  }

  /**
   * Finds the namespace that has a uid of those we give away, in its range or else to give it to others: of several that may, the
   * one that got it last. Throws EBADMSG for what can't be read.
   */
  byUid(uid: number): NamespaceEntry | undefined {
    const first = firstIdOf(uid);
    if (first === undefined) return undefined;
    const found = this.#byFirst(first);
    if (found !== undefined && hasUid(found, uid)) return found;
    const others = [...this.#misaligned.holdersOf(uid, 1), ...this.#reader.giversBy(uidDelegation(first))];
    for (const inode of others.reverse()) {
      const entry = inode === undefined ? undefined : this.byInode(inode);
      if (entry !== undefined && hasUid(entry, uid)) return entry;
    }
    return undefined;
  }

  /** Whether a namespace with this inode is registered, also by an entry that can't be read. */
  hasInode(inode: number): boolean {
    return this.#folder.identity(entryFile(inode)) !== undefined;
  }

  /** Whether a registered namespace has this name. One that can't be read keeps its name. */
  hasName(name: string): boolean {
    return isNamespaceName(name) && this.#reader.holder(nameLink(name)) !== undefined;
  }

  /** Whether nobody has ids of this range, neither as its own nor to give them to others. */
  isRangeFree(start: number, size: number): boolean {
    return this.holdersOf(start, size).length === 0;
  }

  /**
   * The inodes of the namespaces that have ids of a range, as their own or to give them to others. The ids are free once
   * all of them are released.
   * @returns undefined among them for what can't be read
   */
  holdersOf(start: number, size: number): (number | undefined)[] {
    const holders = [
      ...[uidLink(start), gidLink(start)].flatMap((link) => this.#reader.ownersOf(link)),
      ...[uidDelegation(start), gidDelegation(start)].flatMap((file) => this.#reader.giversBy(file)),
      ...this.#misaligned.holdersOf(start, size),
    ];
    return [...new Set(holders)];
  }

  /** Those first ids that no file stands for. One look at all files tells, hence it is for many of them. */
  unregistered(starts: Iterable<number>): number[] {
    const taken = new Set(this.#folder.names().map(startOf));
    return [...starts].filter((start) => !taken.has(start));
  }

  /** Who has namespaces, or had some. Takes time in proportion to the number of all namespaces. */
  owners(): number[] {
    return this.#folder
      .names()
      .map(ownerOf)
      .filter((owner) => owner !== undefined);
  }

  /** The inodes of a user's namespaces. Takes time in proportion to their number. */
  ownedBy(owner: number): number[] {
    // A link without its entry is left over.
    return this.#linksOfOwner(owner).filter((inode) => this.hasInode(inode));
  }

  /** How many namespaces a user has. */
  count(owner: number): number {
    return this.ownedBy(owner).length;
  }

  /** Whether a user has `count` namespaces or more. */
  hasAtLeast(count: number, owner: number): boolean {
    // Mostly it need not be looked which links have an entry.
    return this.#linksOfOwner(owner).length >= count && this.count(owner) >= count;
  }

  /**
   * Registers a namespace. Throws EEXIST, named after the file, if its inode, name or first id is registered already, EBADMSG
   * for a delegate that can't be read. Who had its delegates before has them again once this namespace is removed.
   */
  store(entry: NamespaceEntry): void {
    using _lock = this.lock();
    this.#settle();
    const { userns, owner, delegates = [] } = entry;
    const [file, own, links] = [entryFile(userns), ownerLink(owner, userns), linksOf(entry)];
    // The owner's link is of this inode only, and so left over if it is there.
    const isTaken = (link: string) => link !== own && this.#reader.holder(link) !== undefined;
    const taken = this.hasInode(userns) ? file : links.find(isTaken);
    if (taken !== undefined) throw new SystemError(EEXIST, 'link', `${this.directory}/${taken}`);
    const [temporary, spare] = [this.#folder.temporaryName(), this.#folder.temporaryName()];
    this.#begin([temporary, spare, ...links, ...delegates.flatMap(delegationFiles), ownerFolder(owner)]);
    try {
      this.#folder.write(temporary, formatNamespaceEntry(entry));
      this.#folder.makeFolder(ownerFolder(owner));
      for (const odd of [file, own]) this.#folder.clear(odd);
      for (const link of links) this.#folder.replaceWithLink(temporary, link);
      for (const delegate of delegates) this.#delegate(delegate, userns, spare);
      this.#folder.rename(temporary, file);
    } catch (error) {
      // Without an entry all of it is left over, as after a kill.
      this.#settle();
      throw error;
    }
    this.#finish();
  }

  /**
   * Writes cgroups and network interfaces of a registered namespace anew; nothing else of an entry ever changes. Readers
   * find the old ones or the new ones. Throws ENOENT if it is not registered, EBADMSG if what is registered can't be read.
   * @param entry interfaces that it does not tell stay as they are
   */
  update({ userns, cgroups, netifs }: NamespaceEntry): void {
    using _lock = this.lock();
    this.#settle();
    const file = entryFile(userns);
    const stored = this.byInode(userns);
    if (stored === undefined) throw new SystemError(ENOENT, 'rename', `${this.directory}/${file}`);
    const temporary = this.#folder.temporaryName();
    this.#begin([temporary, file]);
    try {
      this.#folder.write(temporary, formatNamespaceEntry({ ...stored, cgroups, ...(netifs && { netifs }) }));
      this.#folder.rename(temporary, file);
    } catch (error) {
      this.#settle();
      throw error;
    }
    // From here on it is so. Links that are out of step lead to it all the same; the next change puts them right.
    const relink = (link: string) => attempt(() => this.#repair.link(stored, link, temporary));
    if (linksOf(stored).flatMap(relink).length === 0) this.#finish();
  }

  /**
   * Removes what is there of an entry; harmless if nothing is. Of what it delegated, who had it before is the holder again.
   * A step that fails does not keep the others from being done, but for the first one: while the entry is there, so is all
   * that belongs to it. The first failure is thrown.
   * @param which an inode does for an entry that can't be read, too, at the price of a look at all links
   */
  remove(which: NamespaceEntry | number): void {
    for (const failure of this.removeAll([which]).values()) throw failure;
  }

  /**
   * Removes several, as `remove` does. However many of them can't be read, one look at all links is enough.
   * @returns the first failure of each, by inode
   */
  removeAll(which: Iterable<NamespaceEntry | number>): Map<number, unknown> {
    using _lock = this.lock();
    this.#settle();
    const failures = new Map<number, unknown>();
    const unreadable: number[] = [];
    for (const one of which) {
      const inode = typeof one === 'number' ? one : one.userns;
      try {
        const entry = this.#readable(inode, unreadable) ?? (typeof one === 'number' ? undefined : one);
        if (entry !== undefined) this.#removeEntry(entry);
      } catch (error) {
        failures.set(inode, error);
      }
    }
    if (unreadable.length > 0) this.#removeUnreadable(unreadable, failures);
    return failures;
  }

  /**
   * Cleans up after processes that were killed while they changed something: removes temporary files, links and
   * delegations without their entry and empty directories, and gives an entry back what it lost of them. Entries themselves
   * stay, those that can't be read with all their links.
   */
  repair(): Repair {
    using _lock = this.lock();
    attempt(() => this.#begin(undefined));
    const repair = this.#repair.all();
    this.#left = [];
    this.#finish();
    return repair;
  }

  /** Where it is. */
  get directory(): string {
    return this.#folder.path;
  }

  /** Closes the lock's file. */
  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
  }

  /** As `byStart`, but an entry is read again only when its file has become another one: who connects much asks for it often. */
  #byFirst(first: number): NamespaceEntry | undefined {
    const known = this.#ranges.get(first);
    if (known !== undefined && this.#folder.stamp(entryFile(known.entry.userns)) === known.stamp) return known.entry;
    this.#ranges.delete(first);
    const found = this.byStart(first);
    const stamp = found && this.#folder.stamp(entryFile(found.userns));
    if (stamp === undefined) return found;
    // Read after the stamp: what changes from then on is seen the next time.
    const entry = this.byStart(first);
    if (entry === undefined || entry.userns !== found?.userns) return entry;
    if (this.#ranges.size >= RANGES_MAX) this.#ranges.clear();
    this.#ranges.set(first, { entry, stamp });
    return entry;
  }

  /** The inodes that stand in an owner's folder. */
  #linksOfOwner(owner: number): number[] {
    const links = this.#folder.list(ownerFolder(owner)).filter((link) => link.isFile());
    return links.map(({ name }) => inodeOf(name)).filter((inode) => inode !== undefined);
  }

  #readable(inode: number, unreadable: number[]): NamespaceEntry | undefined {
    try {
      return this.byInode(inode);
    } catch (error) {
      if (!isSystemError(error, 'EBADMSG')) throw error;
      unreadable.push(inode);
      return undefined;
    }
  }

  #removeEntry(entry: NamespaceEntry): void {
    const { userns, owner, delegates = [] } = entry;
    const [file, links, delegations] = [entryFile(userns), linksOf(entry), delegates.flatMap(delegationFiles)];
    const identity = this.#folder.identity(file);
    const temporary = this.#folder.temporaryName();
    // On a full disk, too, one must be able to remove something.
    attempt(() => this.#begin([temporary, ...links, ...delegations, ownerFolder(owner)]));
    this.#folder.discard(file);
    const failures = [
      ...links.flatMap((link) => attempt(() => this.#discardOwn(link, userns, identity))),
      ...delegations.flatMap((name) => attempt(() => this.#repair.one(name, temporary))),
      ...attempt(() => this.#folder.discardFolder(ownerFolder(owner))),
    ];
    if (failures.length > 0) throw failures[0];
    this.#finish();
  }

  /** They can't say what their links are, but those are the same files. */
  #removeUnreadable(inodes: readonly number[], failures: Map<number, unknown>): void {
    attempt(() => this.#begin(undefined));
    const gone = new Map<bigint, number>();
    for (const inode of inodes) {
      const identity = this.#folder.identity(entryFile(inode));
      const [failure] = attempt(() => this.#folder.discard(entryFile(inode)));
      if (failure !== undefined) failures.set(inode, failure);
      else if (identity !== undefined) gone.set(identity, inode);
    }
    const discard = (link: string) => {
      const inode = gone.get(this.#folder.identity(link) ?? 0n);
      const [failure] = inode === undefined ? [] : attempt(() => this.#folder.discard(link));
      if (inode !== undefined && failure !== undefined) failures.set(inode, failure);
    };
    for (const name of this.#folder.names()) {
      if (kindOf(name) === 'link') discard(name);
      if (kindOf(name) !== 'owner') continue;
      for (const link of this.#folder.list(name)) discard(`${name}/${link.name}`);
      attempt(() => this.#folder.discardFolder(name));
    }
    if (failures.size === 0) this.#finish();
  }

  /**
   * Removes a link unless it holds the entry of another namespace, or one that can't be read.
   * @param identity of the entry's file, which a link is unless the entry was written anew since
   */
  #discardOwn(link: string, inode: number, identity: bigint | undefined): void {
    const present = this.#folder.identity(link);
    if (present === undefined) return;
    if (present === identity || this.#reader.inodeIn(link) === inode) this.#folder.discard(link);
  }

  /** Makes a namespace the last holder of a delegate. */
  #delegate(delegate: Delegate, userns: number, temporary: string): void {
    const known = this.#reader.delegation(uidDelegation(delegate.start)) ?? undelegated(delegate);
    this.#repair.setHolders(known, [...this.#reader.holders(known), userns], temporary);
  }

  /** Does what a process that was killed, or a step that failed, has left undone. What fails again is tried again. */
  #settle(): void {
    const unfinished = this.#unfinished;
    if (unfinished === undefined) return;
    let files: readonly string[] | undefined = [];
    const [failure] = attempt(() => {
      files = unfinished.files();
    });
    if (failure !== undefined) this.#left = undefined;
    else if (files === undefined) this.repair();
    else if (files.length > 0) this.#settleFiles(files);
  }

  #settleFiles(files: readonly string[]): void {
    const [temporary = ''] = files;
    this.#left = files.filter((file) => attempt(() => this.#repair.one(file, temporary)).some(isPassing));
    if (this.#left.length === 0) this.#finish();
  }

  /** Notes what is going to be changed, beside what is still to be put right. Undefined if that can't be told before. */
  #begin(files: readonly string[] | undefined): void {
    const left = this.#left;
    this.#unfinished?.begin(files && left && [...files, ...left.slice(0, LEFT_MAX)]);
  }

  #finish(): void {
    attempt(() => {
      if (this.#left?.length === 0) this.#unfinished?.finish();
      else this.#unfinished?.begin(this.#left);
    });
  }
}

function folderIn(runtimeDirectory: string): RegistryFolder {
  return new RegistryFolder(`${runtimeDirectory}/nsresource/registry`);
}

/** Whether a file other than an entry has its place in a registry. */
function hasPlace(file: Dirent): boolean {
  const kind = kindOf(file.name);
  return kind === 'owner' ? file.isDirectory() : kind !== undefined && file.isFile();
}

/** Whether what failed may succeed when it is tried again. */
function isPassing(error: unknown): boolean {
  return !isSystemError(error, 'EBADMSG');
}
