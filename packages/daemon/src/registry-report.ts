import { isSystemError } from '@sdrx/linux';
import Table from 'easy-table';
import { formatNamespaceEntry, type NamespaceEntry } from './namespace-entry.js';
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
      if (!isSystemError(error, 'EBADMSG')) throw error;
      failures.push(error);
    }
  }
  return { entries: entries.sort((a, b) => (a.name < b.name ? -1 : 1)), failures };
}

/** Finds an entry by its name or, if there is none, by its inode. Throws EBADMSG for one that can't be read. */
export function findEntry(registry: Registry, nameOrInode: string): NamespaceEntry | undefined {
  const byInode = /^\d{1,10}$/.test(nameOrInode) ? registry.byInode(Number(nameOrInode)) : undefined;
  return registry.byName(nameOrInode) ?? byInode;
}

/** A line an entry, below a heading. */
export function entryTable(entries: readonly NamespaceEntry[]): string {
  if (entries.length === 0) return '';
  const table = new Table();
  const number = Table.number();
  for (const { name, owner, userns, range, cgroups } of entries) {
    table.cell('NAME', name).cell('OWNER', owner, number).cell('INODE', userns, number);
    table.cell('IDS', range === undefined ? '-' : `${range.start}-${range.start + range.size - 1}`, Table.padLeft);
    table.cell('TARGET', range === undefined ? '-' : String(range.target), Table.padLeft);
    table.cell('CGROUPS', cgroups.length, number).newRow();
  }
  return table.toString();
}

/** A line a field. */
export function entryDetails({ name, owner, userns, range, cgroups }: NamespaceEntry): string {
  const rows: [string, string][] = [
    ['Name', name],
    ['Owner', String(owner)],
    ['Inode', String(userns)],
  ];
  if (range !== undefined) {
    const { start, size, target } = range;
    rows.push(['Ids outside', `${start}-${start + size - 1}`], ['Ids inside', `${target}-${target + size - 1}`]);
    rows.push(['Users', size === 1 ? `ns-${name}-0` : `ns-${name}-0 to ns-${name}-${size - 1}`]);
  }
  for (const id of cgroups) rows.push(['Cgroup', String(id)]);
  const width = Math.max(...rows.map(([field]) => field.length));
  return rows.map(([field, value]) => `${field.padStart(width)}: ${value}\n`).join('');
}

/** Entries as a JSON array, each as the registry has it. */
export function entriesJson(entries: readonly NamespaceEntry[]): string {
  return `[${entries.map((entry) => `\n${formatNamespaceEntry(entry)}`).join(',')}\n]\n`;
}
