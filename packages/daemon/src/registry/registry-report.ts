import { isSystemError } from '@sdrx/linux';
import Table from 'easy-table';
import { formatJson } from './lossless-json.js';
import { firstGid, formatNamespaceEntry, type IdRange, type NamespaceEntry } from './namespace-entry.js';
import type { Registry } from './registry.js';

/** What a registry holds, for people to read. */
export interface RegistryContent {
  /** By name. */
  readonly entries: readonly NamespaceEntry[];
  /** Why others can't be read. */
  readonly failures: readonly Error[];
}

/** Reads a whole registry, without a lock: what comes or goes meanwhile may be in it or not. */
export function readRegistry(registry: Registry): RegistryContent {
  const entries: NamespaceEntry[] = [];
  const failures: Error[] = [];
  for (const inode of registry.inodes()) {
    try {
      const entry = registry.byInode(inode);
      if (entry !== undefined) entries.push(entry);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      failures.push(error);
    }
  }
  return { entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)), failures };
}

/**
 * Finds entries by a name or, if there is none, by an inode, or by an id that was lent to it: that of the namespace whose
 * range it is in, after those who have passed it on. Throws EBADMSG for one that can't be read.
 */
export function findEntries(registry: Registry, which: string): readonly NamespaceEntry[] {
  const number = /^\d{1,10}$/.test(which) ? Number(which) : undefined;
  const entry = registry.byName(which) ?? (number === undefined ? undefined : registry.byInode(number));
  if (entry !== undefined) return [entry];
  if (number === undefined) return [];
  const holds = ({ start, size }: { readonly start: number; readonly size: number }) =>
    start <= number && number < start + size;
  const { entries } = readRegistry(registry);
  const passedOn = entries.filter(({ delegates = [] }) => delegates.some(holds));
  return [...passedOn, ...entries.filter(({ range }) => range !== undefined && holds(range))];
}

/** A line an entry, below a heading. */
export function entryTable(entries: readonly NamespaceEntry[]): string {
  if (entries.length === 0) return '';
  const table = new Table();
  const number = Table.number();
  for (const { name, owner, userns, range, cgroups, netifs = [], delegates = [] } of entries) {
    table.cell('NAME', name).cell('OWNER', owner, number).cell('INODE', userns, number);
    table.cell('IDS', range === undefined ? '-' : span(range.start, range.size), Table.padLeft);
    table.cell('TARGET', range === undefined ? '-' : String(range.target), Table.padLeft);
    table.cell('CGROUPS', cgroups.length, number).cell('NETIFS', netifs.length, number);
    table.cell('DELEGATES', delegates.length, number).newRow();
  }
  return table.toString();
}

/** A line a field. */
export function entryDetails(entry: NamespaceEntry): string {
  const { name, owner, userns, usernsId, range, setgroupsDeny, cgroups, netifs = [], delegates = [], other } = entry;
  const rows: [string, string][] = [
    ['Name', name],
    ['Owner', String(owner)],
    ['Inode', String(userns)],
  ];
  if (usernsId !== undefined) rows.push(['Namespace id', String(usernsId)]);
  if (range !== undefined) rows.push(...rangeDetails(name, range));
  if (setgroupsDeny !== undefined) rows.push(['setgroups(2)', setgroupsDeny ? 'denied' : 'allowed']);
  for (const id of cgroups) rows.push(['Cgroup', String(id)]);
  for (const netif of netifs) rows.push(['Interface', printable(netif)]);
  for (const { start, startGid, size } of delegates) {
    const groups = startGid === start ? '' : `, groups ${span(startGid, size)}`;
    rows.push(['Delegated ids', `${span(start, size)}${groups}`]);
  }
  for (const [field, value] of Object.entries(other ?? {})) rows.push([printable(field), printable(formatJson(value))]);
  const width = Math.max(...rows.map(([field]) => field.length));
  return rows.map(([field, value]) => `${field.padStart(width)}: ${value}\n`).join('');
}

function rangeDetails(name: string, range: IdRange): [string, string][] {
  const { start, size, target, targetGid = target } = range;
  const rows: [string, string][] = [
    ['Ids outside', span(start, size)],
    ['Ids inside', span(target, size)],
  ];
  if (firstGid(range) !== start || targetGid !== target)
    rows.push(['Groups outside', span(firstGid(range), size)], ['Groups inside', span(targetGid, size)]);
  return [...rows, ['Users', size === 1 ? `ns-${name}-0` : `ns-${name}-0 to ns-${name}-${size - 1}`]];
}

function span(start: number, size: number): string {
  return `${start}-${start + size - 1}`;
}

/** What others have named, without what would make a terminal do something. */
function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

/** Entries as a JSON array, each as the registry has it. */
export function entriesJson(entries: readonly NamespaceEntry[]): string {
  return `[${entries.map((entry) => `\n${formatNamespaceEntry(entry)}`).join(',')}\n]\n`;
}
