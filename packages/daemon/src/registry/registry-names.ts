import { isTransient } from '../namespace/uid-range.js';
import type { Delegate, IdRange, NamespaceEntry } from './namespace-entry.js';
import { firstGid, isOfOwnId } from './namespace-entry.js';

/** The names of a registry's files. */

const ENTRY = /^i([1-9]\d{0,9})\.userns$/;
const NAME = /^n.*\.userns$/s;
const IDS = /^[ug](\d{1,10})\.(userns|delegate)$/;
const OWNER = /^o(\d{1,10})\.owns$/;
const TEMPORARY = /^\.#/;

export const LOCK = 'lock';

/** What the name of a file in the registry's own folder, or with a slash in an owner's, says that it is. */
export type FileKind = 'entry' | 'link' | 'delegation' | 'owner' | 'temporary' | 'lock' | undefined;

export function entryFile(inode: number): string {
  return `i${inode}.userns`;
}

export function nameLink(name: string): string {
  return `n${name}.userns`;
}

export function uidLink(start: number): string {
  return `u${start}.userns`;
}

export function gidLink(start: number): string {
  return `g${start}.userns`;
}

/** What says who may give ids from here on to others, and the hard link to it. */
export function uidDelegation(start: number): string {
  return `u${start}.delegate`;
}

export function gidDelegation(start: number): string {
  return `g${start}.delegate`;
}

export function ownerFolder(owner: number): string {
  return `o${owner}.owns`;
}

export function ownerLink(owner: number, inode: number): string {
  return `${ownerFolder(owner)}/${entryFile(inode)}`;
}

/**
 * All names of an entry's file but the first. Ids that are not given away by us, as those of a user's own namespace, are
 * found by nobody.
 */
export function linksOf({ owner, name, userns, range }: NamespaceEntry): string[] {
  const ids = range === undefined || isOfOwnId({ owner, range }) ? [] : idLinks(range);
  return [nameLink(name), ...ids, ownerLink(owner, userns)];
}

export function delegationFiles({ start, startGid }: Pick<Delegate, 'start' | 'startGid'>): [string, string] {
  return [uidDelegation(start), gidDelegation(startGid)];
}

/** The inode that an entry's file, or the link in an owner's folder, is named after. */
export function inodeOf(file: string): number | undefined {
  const inode = Number(ENTRY.exec(file.slice(file.indexOf('/') + 1))?.[1]);
  return inode <= 0xffff_ffff ? inode : undefined;
}

/** The first id that a range's link or a delegation is named after. */
export function startOf(file: string): number | undefined {
  const start = Number(IDS.exec(file)?.[1]);
  return start <= 0xffff_ffff ? start : undefined;
}

/** The owner that a folder is named after. */
export function ownerOf(folder: string): number | undefined {
  const owner = Number(OWNER.exec(folder)?.[1]);
  return owner <= 0xffff_ffff ? owner : undefined;
}

export function kindOf(file: string): FileKind {
  const slash = file.indexOf('/');
  if (slash >= 0) {
    const [folder, name] = [file.slice(0, slash), file.slice(slash + 1)];
    if (!OWNER.test(folder)) return undefined;
    if (TEMPORARY.test(name) && !name.includes('/')) return 'temporary';
    return ENTRY.test(name) && inodeOf(name) !== undefined ? 'link' : undefined;
  }
  if (file === LOCK) return 'lock';
  if (TEMPORARY.test(file)) return 'temporary';
  if (NAME.test(file)) return 'link';
  if (OWNER.test(file)) return 'owner';
  if (inodeOf(file) !== undefined) return 'entry';
  if (startOf(file) === undefined) return undefined;
  return file.endsWith('.delegate') ? 'delegation' : 'link';
}

function idLinks(range: IdRange): string[] {
  const gid = firstGid(range);
  return [...(isTransient(range.start) ? [uidLink(range.start)] : []), ...(isTransient(gid) ? [gidLink(gid)] : [])];
}
