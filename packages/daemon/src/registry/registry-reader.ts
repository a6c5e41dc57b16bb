import { isSystemError } from '@sdrx/linux';
import { type Delegation, parseDelegation } from './delegation.js';
import { type NamespaceEntry, parseNamespaceEntry } from './namespace-entry.js';
import type { FileContent, FileStamp, RegistryFolder } from './registry-folder.js';
import { delegationFiles, entryFile, linksOf } from './registry-names.js';

/** How many links are kept in mind. */
const LINKS_MAX = 4096;

/** What stands in a registry's files, one by one. */
export class RegistryReader {
  /**
   * Entries that were found by a link, with the stamp of their file, by the link. Link and entry are one file: as long as that has the
   * same stamp, neither has changed, and it need not be read again.
   */
  readonly #linked = new Map<string, { readonly entry: NamespaceEntry; readonly stamp: FileStamp }>();

  constructor(readonly folder: RegistryFolder) {}

  /** The entry of an inode. Throws EBADMSG, named after the file, if it does not hold one of this inode. */
  entry(inode: number): NamespaceEntry | undefined {
    const file = entryFile(inode);
    let content: FileContent | undefined;
    try {
      content = this.folder.read(file);
    } catch (error) {
      // What is no regular file has not been an entry either.
      if (isSystemError(error, 'EBADMSG') && this.folder.identity(file) === undefined) return undefined;
      throw error;
    }
    if (content === undefined) return undefined;
    const entry = parseNamespaceEntry(content.text);
    if (entry?.userns !== inode) throw this.folder.unreadable(file);
    return entry;
  }

  /**
   * Reads an entry by one of its links. One that a killed process left behind leads to nothing, one that is out of step to
   * the entry as it is now. Throws EBADMSG, named after the link, if it does not hold an entry that agrees with it.
   * @param agrees the same for each call with this link
   */
  byLink(link: string, agrees: (entry: NamespaceEntry) => boolean): NamespaceEntry | undefined {
    const known = this.#linked.get(link);
    if (known !== undefined) {
      if (isSame(this.folder.stamp(entryFile(known.entry.userns)), known.stamp)) return known.entry;
      this.#linked.delete(link);
    }
    const content = this.folder.read(link);
    if (content === undefined) return undefined;
    const entry = parseNamespaceEntry(content.text);
    if (entry === undefined || !agrees(entry)) throw this.folder.unreadable(link);
    const { stamp, isSettled } = content;
    if (!isSame(this.folder.stamp(entryFile(entry.userns)), stamp)) return this.#claimant(entry.userns, link);
    if (isSettled) this.#keep(link, entry, stamp);
    return entry;
  }

  /** Whose link it is: nobody's if it leads to no entry that has it, 'unknown' if that can't be read. */
  holder(link: string): NamespaceEntry | 'unknown' | undefined {
    // An error costs more than a look.
    if (!this.folder.has(link)) return undefined;
    try {
      const content = this.folder.read(link);
      if (content === undefined) return undefined;
      const entry = parseNamespaceEntry(content.text);
      return entry === undefined ? 'unknown' : this.#claimant(entry.userns, link);
    } catch (error) {
      if (isSystemError(error, 'EBADMSG')) return 'unknown';
      throw error;
    }
  }

  /** The inode of the entry that a link holds, whether that is still there or not; undefined if it can't be read. */
  inodeIn(link: string): number | undefined {
    try {
      return parseNamespaceEntry(this.folder.read(link)?.text ?? '')?.userns;
    } catch (error) {
      if (isSystemError(error, 'EBADMSG')) return undefined;
      throw error;
    }
  }

  /** The inode of whose link it is, as `holder`; undefined for what can't be read. */
  ownersOf(link: string): (number | undefined)[] {
    const holder = this.holder(link);
    if (holder === undefined) return [];
    return [holder === 'unknown' ? undefined : holder.userns];
  }

  /** Reads a `.delegate` file. Throws EBADMSG, named after it, if it does not hold a delegation that agrees with its name. */
  delegation(file: string): Delegation | undefined {
    const content = this.folder.has(file) ? this.folder.read(file) : undefined;
    if (content === undefined) return undefined;
    const delegation = parseDelegation(content.text);
    if (delegation === undefined || !delegationFiles(delegation).includes(file)) throw this.folder.unreadable(file);
    return delegation;
  }

  /** The inodes of those who may give ids away by a `.delegate` file; undefined for what can't be read. */
  giversBy(file: string): (number | undefined)[] {
    try {
      const delegation = this.delegation(file);
      return delegation === undefined ? [] : this.holders(delegation);
    } catch (error) {
      if (isSystemError(error, 'EBADMSG')) return [undefined];
      throw error;
    }
  }

  /** Those holders of a delegation whose entry is there and has it, in their order. One that can't be read may have it. */
  holders({ holders, start }: Pick<Delegation, 'holders' | 'start'>): number[] {
    return [...new Set(holders)].filter((inode) => {
      try {
        return this.entry(inode)?.delegates?.some((delegate) => delegate.start === start) === true;
      } catch (error) {
        if (isSystemError(error, 'EBADMSG')) return true;
        throw error;
      }
    });
  }

  #keep(link: string, entry: NamespaceEntry, stamp: FileStamp): void {
    if (this.#linked.size >= LINKS_MAX) this.#linked.clear();
    this.#linked.set(link, { entry, stamp });
  }

  #claimant(inode: number, link: string): NamespaceEntry | undefined {
    const entry = this.entry(inode);
    return entry !== undefined && linksOf(entry).includes(link) ? entry : undefined;
  }
}

function isSame(stamp: FileStamp | undefined, { identity, changed }: FileStamp): boolean {
  return stamp?.identity === identity && stamp.changed === changed;
}
