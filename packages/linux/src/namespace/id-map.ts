import { checkArray, checkChoice, checkObject, checkText } from '../arguments.js';
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
