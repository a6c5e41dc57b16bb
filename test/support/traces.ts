import { readdirSync, readlinkSync } from 'node:fs';
import type { Test } from 'tap';
import { keptFiles } from './allocation.js';
import { childrenOf, descendants } from './children.js';
import type { Daemon } from './daemon.js';
import { difference } from './difference.js';
import { untilOr } from './until.js';

/** How long a daemon may take to clear up, in milliseconds. */
const LIMIT = 60_000;

/** How many looks in a row have to find the same, and the time between two, in milliseconds: a busy machine lets a process stand still. */
const LOOKS = 4;
const PAUSE = 15;

/**
 * A process's open descriptors, by what they stand for, without what says which of its kind it is. Not its standard error, which a
 * log opens once more when it first has something to say.
 */
export function openFiles(pid: number): string[] {
  const files = list(`/proc/${pid}/fd`).flatMap((fd) => {
    try {
      return [{ fd, file: readlinkSync(`/proc/${pid}/fd/${fd}`) }];
    } catch {
      return []; // closed meanwhile
    }
  });
  const standardError = files.find(({ fd }) => fd === '2')?.file;
  return (
    files
      .filter(({ file }) => file !== standardError)
      .map(({ file }) => file.replace(/:\[\d+\]$/, ''))
      // The program that a worker copies once for all helpers.
      .filter((file) => !file.startsWith('/memfd:'))
      .sort()
  );
}

/**
 * What there is to see of a daemon: its files, its descriptors, and those of its workers, which at rest all have the
 * same; undefined while they have not, or somebody works for them. How many they are now is not told.
 */
export function atRest(daemon: Daemon): string[] | undefined {
  const workers = daemon.children();
  const [first, ...others] = new Set(workers.map((pid) => openFiles(pid).join('\n')));
  // Its timer is the last that a worker opens as it starts.
  if (first === undefined || !first.includes('[timerfd]') || others.length > 0 || workers.length < 5) return undefined;
  // Of its own a worker has one child, which starts processes within namespaces.
  const launchers = workers.flatMap(childrenOf);
  if (launchers.length > workers.length || launchers.some((pid) => childrenOf(pid).length > 0)) return undefined;
  const files = keptFiles(daemon).filter((file) => file !== 'namespace-ids');
  // One for each worker.
  const manager = openFiles(daemon.pid).filter((file) => !file.includes('[pidfd]'));
  return [...files, ...manager, 'worker', ...first.split('\n')];
}

/** A test after which a daemon must come to hold what it held before, in the time that a clean-up may take. */
export function leavingNoTrace(
  daemon: Daemon,
  body: (t: Test) => undefined | Promise<unknown>,
): (t: Test) => Promise<void> {
  return async (t) => {
    const before = await settled(daemon, () => true);
    await body(t);
    const isAsBefore = (now: readonly string[]) => String(now) === String(before);
    await settled(daemon, isAsBefore).catch((error) => {
      throw new Error(`${difference(before.join('\n'), atRest(daemon)?.join('\n') ?? '')}\n${error}`);
    });
  };
}

/** Resolves when a daemon has been at rest for some looks in a row, in a state that `holds`. @returns that state */
export async function settled(daemon: Daemon, holds: (state: readonly string[]) => boolean): Promise<string[]> {
  let last: string[] = [];
  let same = 0;
  await untilOr(
    LIMIT,
    () => {
      const now = atRest(daemon);
      same = now !== undefined && String(now) === String(last) ? same + 1 : 0;
      last = now ?? [];
      return same >= LOOKS && holds(last);
    },
    () => `not at rest: ${atRest(daemon)?.join('\n') ?? descendants(daemon.pid).join(' ')}\n${daemon.log()}`,
    PAUSE,
  );
  return last;
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
