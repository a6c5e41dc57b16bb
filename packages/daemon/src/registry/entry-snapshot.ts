import { lstatSync, opendirSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';
import type { NamespaceEntry } from './namespace-entry.js';
import type { Registry } from './registry.js';
import { inodeOf } from './registry-names.js';

/** How many files of a folder are asked for at a time. */
const BATCH = 256;

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

/** The inodes of all registered namespaces, as they are found: however many there are, each step is short. */
export function* registeredInodes({ directory }: Registry): Generator<number | undefined, void> {
  const folder = opendirSync(directory, { bufferSize: BATCH });
  try {
    for (let file = folder.readSync(); file !== null; file = folder.readSync()) {
      yield file.isFile() ? inodeOf(file.name) : undefined;
    }
  } finally {
    folder.closeSync();
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
