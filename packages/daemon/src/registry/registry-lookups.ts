import type { Dirent } from 'node:fs';
import { isNamespaceName } from '../namespace/namespace-name.js';
import { firstIdOf } from '../namespace/uid-range.js';
import { MisalignedRanges } from './misaligned-ranges.js';
import { firstGid, hasUid, type NamespaceEntry } from './namespace-entry.js';
import type { RegistryFolder } from './registry-folder.js';
import {
  entryFile,
  gidDelegation,
  gidLink,
  inodeOf,
  kindOf,
  nameLink,
  ownerFolder,
  ownerOf,
  startOf,
  uidDelegation,
  uidLink,
} from './registry-names.js';
import { RegistryReader } from './registry-reader.js';

/** What can be found in a registry. Reading needs no lock, and changes nothing. */
export abstract class RegistryLookups {
  protected readonly folder: RegistryFolder;
  protected readonly reader: RegistryReader;
  readonly #misaligned: MisalignedRanges;

  protected constructor(folder: RegistryFolder) {
    this.folder = folder;
    this.reader = new RegistryReader(folder);
    this.#misaligned = new MisalignedRanges(this.reader);
  }

  /**
   * The inodes of all registered namespaces.
   * @param onOdd is told each file that has no place in a registry
   */
  inodes(onOdd: (file: string) => void = () => {}): number[] {
    const inodes: number[] = [];
    for (const file of this.folder.list()) {
      const inode = file.isFile() ? inodeOf(file.name) : undefined;
      if (inode !== undefined) inodes.push(inode);
      else if (!hasPlace(file)) onOdd(file.name);
    }
    return inodes;
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this inode. */
  byInode(inode: number): NamespaceEntry | undefined {
    return this.reader.entry(inode);
  }

  /** Throws EBADMSG, named after the file, if it does not hold an entry of this name. */
  byName(name: string): NamespaceEntry | undefined {
    if (!isNamespaceName(name)) return undefined;
    return this.reader.byLink(nameLink(name), (entry) => entry.name === name);
  }

  /** Finds a range by its first uid. Throws EBADMSG, named after the file, if it does not hold an entry with this one. */
  byStart(start: number): NamespaceEntry | undefined {
    return this.reader.byLink(uidLink(start), (entry) => entry.range?.start === start);
  }

  /** Finds a range by its first gid. Throws EBADMSG, named after the file, if it does not hold an entry with this one. */
  byStartGid(start: number): NamespaceEntry | undefined {
    return this.reader.byLink(gidLink(start), ({ range }) => range !== undefined && firstGid(range) === start);
  }

  /**
   * Finds the namespace that has a uid of those we give away, in its range or else to give it to others: of several that may, the
   * one that got it last. Throws EBADMSG for what can't be read.
   */
  byUid(uid: number): NamespaceEntry | undefined {
    const first = firstIdOf(uid);
    if (first === undefined) return undefined;
    const found = this.byStart(first);
    if (found !== undefined && hasUid(found, uid)) return found;
    const others = [...this.#misaligned.holdersOf(uid, 1), ...this.reader.giversBy(uidDelegation(first))];
    for (const inode of others.reverse()) {
      const entry = inode === undefined ? undefined : this.byInode(inode);
      if (entry !== undefined && hasUid(entry, uid)) return entry;
    }
    return undefined;
  }

  /** Whether a namespace with this inode is registered, also by an entry that can't be read. */
  hasInode(inode: number): boolean {
    return this.folder.identity(entryFile(inode)) !== undefined;
  }

  /** Whether a registered namespace has this name. One that can't be read keeps its name. */
  hasName(name: string): boolean {
    return isNamespaceName(name) && this.reader.holder(nameLink(name)) !== undefined;
  }

  /**
   * The inodes of the namespaces that have ids of a range, as their own or to give them to others. The ids are free once
   * all of them are released.
   * @param giver who wants to give them: it and who gave them to it are left out
   * @returns undefined among them for what can't be read
   */
  holdersOf(start: number, size: number, giver?: number): (number | undefined)[] {
    const givers = [uidDelegation(start), gidDelegation(start)].flatMap((file) => {
      const holders = this.reader.giversBy(file);
      return giver === undefined ? holders : holders.slice(holders.indexOf(giver) + 1);
    });
    const holders = [
      ...[uidLink(start), gidLink(start)].flatMap((link) => this.reader.ownersOf(link)),
      ...givers,
      ...this.#misaligned.holdersOf(start, size),
    ];
    return [...new Set(holders)];
  }

  /** Those first ids that no file stands for. One look at all files tells, hence it is for many of them. */
  unregistered(starts: Iterable<number>): number[] {
    const taken = new Set(this.folder.names().map(startOf));
    return [...starts].filter((start) => !taken.has(start));
  }

  /** Who has namespaces, or had some. Takes time in proportion to the number of all namespaces. */
  owners(): number[] {
    return this.folder
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

  /** Where it is. */
  get directory(): string {
    return this.folder.path;
  }

  /** The inodes that stand in an owner's folder. */
  #linksOfOwner(owner: number): number[] {
    const links = this.folder.list(ownerFolder(owner)).filter((link) => link.isFile());
    return links.map(({ name }) => inodeOf(name)).filter((inode) => inode !== undefined);
  }
}

/** Whether a file other than an entry has its place in a registry. */
function hasPlace(file: Dirent): boolean {
  const kind = kindOf(file.name);
  return kind === 'owner' ? file.isDirectory() : kind !== undefined && file.isFile();
}
