import { isDeepStrictEqual } from 'node:util';
import { attempt } from '../program/attempt.js';
import { type Delegation, formatDelegation } from './delegation.js';
import type { Delegate, NamespaceEntry } from './namespace-entry.js';
import type { RegistryFolder } from './registry-folder.js';
import { delegationFiles, entryFile, inodeOf, kindOf, linksOf, ownerFolder, uidDelegation } from './registry-names.js';
import type { RegistryReader } from './registry-reader.js';

/** What `Registry.repair` did, by names of files in the registry. */
export interface Repair {
  /** Left behind by a process that was killed, and now gone. */
  readonly removed: readonly string[];
  /** Lost by, or out of step with, the entry that they belong to, and now linked to it again. */
  readonly restored: readonly string[];
  /** Why others could not be repaired. */
  readonly failures: readonly unknown[];
}

/** Brings the files of a registry into step with its entries. The lock must be held. */
export class RegistryRepair {
  readonly #reader: RegistryReader;
  readonly #folder: RegistryFolder;

  constructor(reader: RegistryReader) {
    this.#reader = reader;
    this.#folder = reader.folder;
  }

  /** All of them; takes time in proportion to their number. */
  all(): Repair {
    return new WholeRepair(this.#reader, this).run();
  }

  /**
   * One that may be out of step because its change was not finished. One that is as it should be stays.
   * @param temporary for `RegistryFolder.relink`
   */
  one(file: string, temporary: string): void {
    const kind = kindOf(file);
    if (kind === 'temporary') this.#folder.discard(file);
    if (kind === 'entry') this.#entry(inodeOf(file), temporary);
    if (kind === 'link' && this.#reader.holder(file) === undefined) this.#folder.discard(file);
    if (kind === 'delegation') this.#delegation(file, temporary);
    if (kind === 'owner') this.#folder.discardFolder(file);
  }

  /**
   * Says who holds a delegation from now on; the files go with the last one. The one named after the uid counts, and
   * changes in one step.
   * @param delegation as the files have it; without holders if they are not there
   * @param temporary for `RegistryFolder.write`
   * @returns whether there was something to be done
   */
  setHolders(delegation: Delegation, holders: readonly number[], temporary: string): boolean {
    const [file, link] = delegationFiles(delegation);
    if (holders.length === 0) {
      const isThere = this.#folder.has(file) || this.#folder.has(link);
      for (const name of [file, link]) this.#folder.discard(name);
      return isThere;
    }
    const isNew = !isDeepStrictEqual(delegation.holders, holders);
    if (isNew) {
      this.#folder.write(temporary, formatDelegation({ ...delegation, holders }));
      this.#folder.clear(file);
      this.#folder.rename(temporary, file);
    }
    return this.#folder.relink(file, link, temporary) || isNew;
  }

  #entry(inode: number | undefined, temporary: string): void {
    const entry = inode === undefined ? undefined : this.#reader.entry(inode);
    if (entry === undefined) return;
    for (const link of linksOf(entry)) this.link(entry, link, temporary);
  }

  /** Gives an entry back one of its links. @returns whether it had lost it */
  link({ owner, userns }: NamespaceEntry, link: string, temporary: string): boolean {
    if (link.includes('/')) this.#folder.makeFolder(ownerFolder(owner));
    return this.#folder.relink(entryFile(userns), link, temporary);
  }

  #delegation(file: string, temporary: string): void {
    const delegation = this.#reader.delegation(file);
    if (delegation === undefined) return;
    const holders = this.#reader.holders(delegation);
    const [counts] = delegationFiles(delegation);
    if (file === counts || holders.length === 0) this.setHolders(delegation, holders, temporary);
  }
}

/** An entry, and which file it was read from. */
interface ReadEntry {
  readonly entry: NamespaceEntry;
  readonly identity: bigint | undefined;
}

/** The work of one `RegistryRepair.all`. */
class WholeRepair {
  readonly #removed: string[] = [];
  readonly #restored: string[] = [];
  readonly #failures: unknown[] = [];
  readonly #expected = new Map<string, ReadEntry>();
  readonly #delegates = new Map<number, { delegate: Delegate; holders: number[] }>();
  readonly #unreadable = new Set<bigint>();
  readonly #folder: RegistryFolder;
  readonly #temporary: string;

  constructor(
    readonly reader: RegistryReader,
    readonly repair: RegistryRepair,
  ) {
    this.#folder = reader.folder;
    this.#temporary = reader.folder.temporaryName();
  }

  run(): Repair {
    const files = this.#folder.list();
    const names = files.map(({ name }) => name);
    for (const file of files) {
      const inode = inodeOf(file.name);
      if (inode !== undefined && file.isFile()) this.#take(inode);
    }
    const folders = files.filter((file) => kindOf(file.name) === 'owner' && file.isDirectory()).map(({ name }) => name);
    const owned = folders.flatMap((folder) => this.#folder.list(folder).map(({ name }) => `${folder}/${name}`));
    for (const file of [...names, ...owned]) this.#try(() => this.#removeOrphan(file));
    for (const [link, { entry, identity }] of this.#expected)
      this.#try(() => {
        if (identity !== undefined && this.#folder.identity(link) === identity) return;
        if (this.repair.link(entry, link, this.#temporary)) this.#restored.push(link);
      });
    this.#repairDelegations(names.filter((name) => kindOf(name) === 'delegation'));
    for (const folder of folders)
      this.#try(() => {
        if (this.#folder.discardFolder(folder)) this.#removed.push(folder);
      });
    return { removed: this.#removed, restored: this.#restored, failures: this.#failures };
  }

  #try(step: () => void): void {
    this.#failures.push(...attempt(step));
  }

  /** Notes what an entry has a right to. */
  #take(inode: number): void {
    try {
      const entry = this.reader.entry(inode);
      if (entry === undefined) return;
      const read = { entry, identity: this.#folder.identity(entryFile(inode)) };
      for (const link of linksOf(entry)) this.#expected.set(link, read);
      for (const delegate of entry.delegates ?? []) {
        const known = this.#delegates.get(delegate.start) ?? { delegate, holders: [] };
        known.holders.push(inode);
        this.#delegates.set(delegate.start, known);
      }
    } catch (error) {
      this.#failures.push(error);
      const identity = this.#folder.identity(entryFile(inode));
      if (identity !== undefined) this.#unreadable.add(identity);
    }
  }

  /** An entry that can't be read keeps all its links. */
  #removeOrphan(file: string): void {
    const kind = kindOf(file);
    if (kind !== 'temporary' && (kind !== 'link' || this.#expected.has(file))) return;
    const identity = this.#folder.identity(file);
    // What is no regular file was not left behind by us.
    if (identity === undefined || (kind === 'link' && this.#unreadable.has(identity))) return;
    this.#folder.discard(file);
    this.#removed.push(file);
  }

  #repairDelegations(files: readonly string[]): void {
    const held = new Set<string>();
    for (const { delegate, holders } of this.#delegates.values()) {
      // Also if they can't be read.
      for (const file of delegationFiles(delegate)) held.add(file);
      this.#try(() => {
        const known = this.reader.delegation(uidDelegation(delegate.start)) ?? undelegated(delegate);
        // Who is not named there has got it last: systemd 262 gives a range back to one that died before.
        const ordered = this.reader.holders({ ...known, holders: [...known.holders, ...holders] });
        const [file, link] = delegationFiles(known);
        held.add(file).add(link);
        if (this.repair.setHolders(known, ordered, this.#temporary)) this.#restored.push(file);
      });
    }
    // Those that can't be read may have any of the others.
    if (this.#unreadable.size > 0) return;
    for (const file of files)
      this.#try(() => {
        if (held.has(file) || this.#folder.identity(file) === undefined) return;
        this.#folder.discard(file);
        this.#removed.push(file);
      });
  }
}

/** A delegate that nobody holds yet. */
export function undelegated({ start, startGid, size }: Delegate): Delegation {
  return { start, startGid, size, holders: [] };
}
