import { mkdirSync } from 'node:fs';
import type { EventLoop } from '@sdrx/event';
import { EEXIST, ENOENT, EROFS, Fd, isSystemError, SystemError } from '@sdrx/linux';
import { type Observable, throwError } from 'rxjs';
import { attempt } from '../program/attempt.js';
import { type Delegate, formatNamespaceEntry, type NamespaceEntry } from './namespace-entry.js';
import { RegistryFolder } from './registry-folder.js';
import { type AcquireOptions, RegistryLock } from './registry-lock.js';
import { RegistryLookups } from './registry-lookups.js';
import {
  delegationFiles,
  entryFile,
  kindOf,
  LOCK,
  linksOf,
  ownerFolder,
  ownerLink,
  uidDelegation,
} from './registry-names.js';
import { RegistryRepair, type Repair, undelegated } from './registry-repair.js';
import { UnfinishedChange } from './unfinished-change.js';

/** How many names of an unfinished change are kept until it can be finished. */
const LEFT_MAX = 100;

/**
 * The registered user namespaces, as files that systemd-nsresourced and this daemon share and can take over from each
 * other: `i<inode>.userns` is the entry, and three hard links to it find it by name, by first id and by owner.
 *
 * A process may be killed between any two system calls. An entry exists exactly while its `i` file does: that one
 * appears last and goes first, each in one atomic step. A link without it is what a killed process has left: look-ups ignore it, and
 * `repair` removes it.
 *
 * To read (`RegistryLookups`) needs no lock. Whatever changes something takes the lock for itself, but to decide by what was read,
 * hold it from the reading on. All is synchronous, so that no other work of this process comes in between.
 */
export class Registry extends RegistryLookups implements Disposable {
  readonly #lock: RegistryLock | undefined;
  readonly #repair: RegistryRepair;
  readonly #unfinished: UnfinishedChange | undefined;
  /** Of unfinished changes, the files that could not be put right either; undefined if it may be any. */
  #left: readonly string[] | undefined = [];
  /**
   * What to do, over and over, while another process has the lock, instead of just waiting: for a process that who has
   * the lock may be waiting for. It must wait a little itself.
   */
  whileWaiting: (() => void) | undefined;

  private constructor(folder: RegistryFolder, lock?: Fd) {
    super(folder);
    this.#lock = lock && new RegistryLock(lock, `${folder.path}/${LOCK}`);
    this.#repair = new RegistryRepair(this.reader);
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
   * Registers a namespace. Throws EEXIST, named after the file, if its inode, name or first id is registered already, EBADMSG
   * for a delegate that can't be read. Who had its delegates before has them again once this namespace is removed.
   */
  store(entry: NamespaceEntry): void {
    using _lock = this.lock();
    this.#settle();
    const { userns, owner, delegates = [] } = entry;
    const [file, own, links] = [entryFile(userns), ownerLink(owner, userns), linksOf(entry)];
    // The owner's link is of this inode only, and so left over if it is there.
    const isTaken = (link: string) => link !== own && this.reader.holder(link) !== undefined;
    const taken = this.hasInode(userns) ? file : links.find(isTaken);
    if (taken !== undefined) throw new SystemError(EEXIST, 'link', `${this.directory}/${taken}`);
    const [temporary, spare] = [this.folder.temporaryName(), this.folder.temporaryName()];
    this.#begin([temporary, spare, ...links, ...delegates.flatMap(delegationFiles), ownerFolder(owner)]);
    try {
      this.folder.write(temporary, formatNamespaceEntry(entry));
      this.folder.makeFolder(ownerFolder(owner));
      for (const odd of [file, own]) this.folder.clear(odd);
      for (const link of links) this.folder.replaceWithLink(temporary, link);
      for (const delegate of delegates) this.#delegate(delegate, userns, spare);
      this.folder.rename(temporary, file);
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
    const temporary = this.folder.temporaryName();
    this.#begin([temporary, file]);
    try {
      this.folder.write(temporary, formatNamespaceEntry({ ...stored, cgroups, ...(netifs && { netifs }) }));
      this.folder.rename(temporary, file);
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

  /** Closes the lock's file. */
  [Symbol.dispose](): void {
    this.#lock?.[Symbol.dispose]();
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
    const identity = this.folder.identity(file);
    const temporary = this.folder.temporaryName();
    // On a full disk, too, one must be able to remove something.
    attempt(() => this.#begin([temporary, ...links, ...delegations, ownerFolder(owner)]));
    this.folder.discard(file);
    const failures = [
      ...links.flatMap((link) => attempt(() => this.#discardOwn(link, userns, identity))),
      ...delegations.flatMap((name) => attempt(() => this.#repair.one(name, temporary))),
      ...attempt(() => this.folder.discardFolder(ownerFolder(owner))),
    ];
    if (failures.length > 0) throw failures[0];
    this.#finish();
  }

  /** They can't say what their links are, but those are the same files. */
  #removeUnreadable(inodes: readonly number[], failures: Map<number, unknown>): void {
    attempt(() => this.#begin(undefined));
    const gone = new Map<bigint, number>();
    for (const inode of inodes) {
      const identity = this.folder.identity(entryFile(inode));
      const [failure] = attempt(() => this.folder.discard(entryFile(inode)));
      if (failure !== undefined) failures.set(inode, failure);
      else if (identity !== undefined) gone.set(identity, inode);
    }
    const discard = (link: string) => {
      const inode = gone.get(this.folder.identity(link) ?? 0n);
      const [failure] = inode === undefined ? [] : attempt(() => this.folder.discard(link));
      if (inode !== undefined && failure !== undefined) failures.set(inode, failure);
    };
    for (const name of this.folder.names()) {
      if (kindOf(name) === 'link') discard(name);
      if (kindOf(name) !== 'owner') continue;
      for (const link of this.folder.list(name)) discard(`${name}/${link.name}`);
      attempt(() => this.folder.discardFolder(name));
    }
    if (failures.size === 0) this.#finish();
  }

  /**
   * Removes a link unless it holds the entry of another namespace, or one that can't be read.
   * @param identity of the entry's file, which a link is unless the entry was written anew since
   */
  #discardOwn(link: string, inode: number, identity: bigint | undefined): void {
    const present = this.folder.identity(link);
    if (present === undefined) return;
    if (present === identity || this.reader.inodeIn(link) === inode) this.folder.discard(link);
  }

  /** Makes a namespace the last holder of a delegate. */
  #delegate(delegate: Delegate, userns: number, temporary: string): void {
    const known = this.reader.delegation(uidDelegation(delegate.start)) ?? undelegated(delegate);
    this.#repair.setHolders(known, [...this.reader.holders(known), userns], temporary);
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

/** Whether what failed may succeed when it is tried again. */
function isPassing(error: unknown): boolean {
  return !isSystemError(error, 'EBADMSG');
}
