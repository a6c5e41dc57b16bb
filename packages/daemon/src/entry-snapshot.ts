import { lstatSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';
import type { NamespaceEntry } from './namespace-entry.js';
import type { Registry } from './registry.js';

/** An entry of the registry as it was at a time. */
export interface EntrySnapshot {
  readonly inode: number;
  /** Undefined for one that can't be read. */
  readonly entry: NamespaceEntry | undefined;
  /** Tells its file from any other one that had or gets the same name: an entry that is changed is another file. */
  readonly file: string;
}

/** What is registered with an inode now; undefined if nothing is. Needs no lock. */
export function entrySnapshot(registry: Registry, inode: number): EntrySnapshot | undefined {
  for (;;) {
    const file = entryFile(registry, inode);
    if (file === undefined) return undefined;
    const entry = read(registry, inode);
    // Else it was changed meanwhile, and there is no telling what was read.
    if (entryFile(registry, inode) === file) return { inode, entry, file };
  }
}

/** Whether an entry is still the very one. */
export function isCurrent(registry: Registry, { inode, file }: EntrySnapshot): boolean {
  return entryFile(registry, inode) === file;
}

function entryFile({ directory }: Registry, inode: number): string | undefined {
  const path = `${directory}/i${inode}.userns`;
  const status = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  return status === undefined ? undefined : `${status.ino}-${status.mtimeNs}`;
}

function read(registry: Registry, inode: number): NamespaceEntry | undefined {
  try {
    return registry.byInode(inode);
  } catch (error) {
    if (isSystemError(error, 'EBADMSG')) return undefined;
    throw error;
  }
}
