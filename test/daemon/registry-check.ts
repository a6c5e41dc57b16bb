import { readdirSync, statSync } from 'node:fs';
import type { NamespaceEntry, Registry } from '@sdrx/daemon';

/** The files of a registry, and which of them are links of one another: by path, the number of the file. */
export function filesOf(directory: string): Map<string, number> {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return new Map(paths.filter((path) => path !== 'lock').map((path) => [path, statSync(`${directory}/${path}`).ino]));
}

/**
 * What is wrong with a registry that nobody works on: files that are nobody's, links that are missing or those of
 * another entry, ids that two entries own.
 */
export function faultsOf(registry: Registry, directory: string): string[] {
  const faults: string[] = [];
  const files = filesOf(directory);
  const owned: NamespaceEntry[] = [];
  for (const inode of registry.inodes((file) => faults.push(`${file} is odd`))) {
    const entry = registry.byInode(inode);
    if (entry === undefined) continue;
    const file = files.get(`i${inode}.userns`);
    const links = [`n${entry.name}.userns`, `o${entry.owner}.owns/i${inode}.userns`];
    if (entry.range !== undefined) {
      links.push(`u${entry.range.start}.userns`, `g${entry.range.startGid ?? entry.range.start}.userns`);
    }
    for (const link of links) {
      if (files.get(link) !== file) faults.push(`${link} is not ${inode}'s`);
      files.delete(link);
    }
    files.delete(`i${inode}.userns`);
    files.delete(`o${entry.owner}.owns`);
    if (entry.range === undefined) continue;
    if (owned.some(({ range }) => range?.start === entry.range?.start))
      faults.push(`${entry.range.start} is owned twice`);
    owned.push(entry);
  }
  for (const path of files.keys()) faults.push(`${path} is left over`);
  return faults;
}
