import { lstatSync, readdirSync, readFileSync } from 'node:fs';
import { type NamespaceEntry, parseDelegation, type Registry } from '@sdrx/daemon';

/** The files of a registry, and which of them are links of one another: by path, the number of the file. */
export function filesOf(directory: string): Map<string, number> {
  const paths = readdirSync(directory, { recursive: true, encoding: 'utf8' });
  return new Map(paths.filter((path) => path !== 'lock').map((path) => [path, lstatSync(`${directory}/${path}`).ino]));
}

/**
 * What is wrong with a registry that nobody works on: files that are nobody's, links that are missing or those of
 * another entry, ids that two entries own, delegations that do not name who has them.
 */
export function faultsOf(registry: Registry, directory: string): string[] {
  const faults: string[] = [];
  const files = filesOf(directory);
  const left = new Map(files);
  const owners = new Map<number, number>();
  const givers = new Map<string, Set<number>>();
  for (const inode of registry.inodes((file) => faults.push(`${file} is odd`))) {
    const entry = registry.byInode(inode);
    if (entry === undefined) continue;
    const file = `i${inode}.userns`;
    for (const link of linksOf(entry)) {
      if (files.get(link) !== files.get(file)) faults.push(`${link} is not ${inode}'s`);
      left.delete(link);
    }
    left.delete(file);
    left.delete(`o${entry.owner}.owns`);
    const { range, delegates = [] } = entry;
    if (range !== undefined && owners.has(range.start)) faults.push(`${range.start} is owned twice`);
    if (range !== undefined) owners.set(range.start, inode);
    for (const { start, startGid } of delegates) {
      const [byUid, byGid] = [`u${start}.delegate`, `g${startGid}.delegate`];
      if (files.get(byUid) !== files.get(byGid)) faults.push(`${byGid} is not ${byUid}`);
      for (const link of [byUid, byGid]) left.delete(link);
      givers.set(byUid, (givers.get(byUid) ?? new Set()).add(inode));
    }
  }
  for (const [file, inodes] of givers) {
    const holders = files.has(file)
      ? parseDelegation(readFileSync(`${directory}/${file}`, 'utf8'))?.holders
      : undefined;
    if (holders?.length !== inodes.size || !holders.every((holder) => inodes.has(holder)))
      faults.push(`${file} is of ${holders}, not of ${[...inodes]}`);
  }
  for (const path of left.keys()) faults.push(`${path} is left over`);
  return faults;
}

function linksOf({ name, owner, userns, range }: NamespaceEntry): string[] {
  const ids =
    range === undefined || range.start < 61_184
      ? []
      : [`u${range.start}.userns`, `g${range.startGid ?? range.start}.userns`];
  return [`n${name}.userns`, `o${owner}.owns/i${userns}.userns`, ...ids];
}
