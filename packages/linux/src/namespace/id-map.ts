import { checkArray, checkChoice, checkInteger, checkObject, checkText, checkUint32 } from '../arguments.js';
import { readKernelFile } from '../file/read-kernel-file.js';

/** One line of uid_map or gid_map: `count` ids from `inside` on are the ids from `outside` on. user_namespaces(7). */
export interface IdMapEntry {
  readonly inside: number;
  readonly outside: number;
  readonly count: number;
}

/** Which of a process's two maps. */
export type IdMapKind = 'uid_map' | 'gid_map';

/**
 * Reads the map of the user namespace that a process is in; empty while nobody has written it. proc(5).
 * @param directory the process's own
 */
export function readIdMap(kind: IdMapKind, directory = '/proc/self'): IdMapEntry[] {
  checkChoice('kind', kind, ['uid_map', 'gid_map']);
  checkText('directory', directory);
  return parseIdMap(readKernelFile(`${directory}/${kind}`));
}

/** Reads a map as the kernel writes it: three columns of decimal numbers. */
export function parseIdMap(text: string): IdMapEntry[] {
  checkText('text', text);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const [inside = 0, outside = 0, count = 0] = line.trim().split(/\s+/).map(Number);
      return { inside, outside, count };
    });
}

/** Whether all of the `size` ids from `start` on, as numbered inside, are in the map, if need be over several entries. */
export function mapCovers(map: readonly IdMapEntry[], start: number, size: number): boolean {
  checkArray('map', map, checkObject);
  checkUint32('start', start);
  checkInteger('size', size, 0);
  let next = start;
  const end = start + size;
  for (const { inside, count } of [...map].sort((a, b) => a.inside - b.inside)) {
    if (inside > next) break;
    next = Math.max(next, inside + count);
    if (next >= end) return true;
  }
  return next >= end;
}

/** Whether any of the `size` ids from `start` on, as numbered inside, is in the map. */
export function mapOverlaps(map: readonly IdMapEntry[], start: number, size: number): boolean {
  checkArray('map', map, checkObject);
  checkUint32('start', start);
  checkInteger('size', size, 0);
  return map.some(({ inside, count }) => inside < start + size && start < inside + count);
}

/** Ids that follow each other: `count` of them from `first` on. */
export interface IdRun {
  readonly first: number;
  readonly count: number;
}

/** The ids that a map is for, as numbered on one side of it: in order, and what adjoins is one run. */
export function mappedIds(map: readonly IdMapEntry[], side: 'inside' | 'outside'): IdRun[] {
  checkArray('map', map, checkObject);
  checkChoice('side', side, ['inside', 'outside']);
  const runs: IdRun[] = [];
  for (const { [side]: first, count } of [...map].sort((a, b) => a[side] - b[side])) {
    const last = runs.at(-1);
    if (last === undefined || last.first + last.count < first) runs.push({ first, count });
    else runs[runs.length - 1] = { first: last.first, count: Math.max(last.count, first + count - last.first) };
  }
  return runs;
}
