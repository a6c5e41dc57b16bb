import { WORK } from './attempts.js';
import type { Environment } from './environments.js';
import { ancestry, KINDS, type Mount } from './facts.js';
import { isTransient } from './ids.js';
import { type Kernel, plainly } from './linux.js';
import type { Outcome, Remnant } from './matrix.js';
import { onDisk } from './rule.js';

/** What was put there for the attempts, and other names of that. */
const FURNITURE = /^(owned|open|from|upper|work|link.*)$/;

/** An inode that an attempt makes, with its owner as the disk should have it. */
interface Expected {
  readonly owner: string;
  /** Whether it is known that nobody refuses it, though it outlives the ids that it has. */
  readonly isOpen: boolean;
}

const placeOf = (environment: Environment, mount: string, path: string) => `${environment.name} / ${mount} / ${path}`;

/** Whether a task's ids are lent by a namespace that a mount's file system outlives. */
function outlivesIds({ task }: Environment, mount: Mount): boolean {
  const lent = ancestry(task.namespace).find(({ registered }) => registered);
  return lent !== undefined && !ancestry((mount.upper ?? mount).superblock).includes(lent);
}

function expectedInodes(outcomes: readonly Outcome[], kernel: Kernel): Map<string, Expected> {
  const expected = new Map<string, Expected>();
  for (const { environment, mount, attempt, isReached, result } of outcomes) {
    if (attempt.makes === undefined) continue;
    const owner = KINDS.map((kind) => onDisk(mount, kind, environment.task.ids[kind])).join(':');
    const isOpen = attempt.open !== undefined;
    if (result === 'ok') expected.set(placeOf(environment, mount.name, attempt.makes), { owner, isOpen });
    const isMade = plainly(attempt, environment.task, mount, isReached, kernel) === 'ok';
    if (attempt.meets === 'overlay' && isMade)
      expected.set(placeOf(environment, mount.name, WORK), { owner, isOpen: true });
  }
  return expected;
}

/**
 * Of the inodes that have lent ids when all is over, those that should not be there, and those whose owner is another than
 * the rule thinks, a line each.
 *
 * @param isRestricted whether the namespaces were registered: then none may be where it outlives its ids, but for what is open
 */
export function wrongInodes(
  outcomes: readonly Outcome[],
  remnants: readonly Remnant[],
  kernel: Kernel,
  isRestricted: boolean,
): string[] {
  const expected = expectedInodes(outcomes, kernel);
  return remnants.flatMap(({ environment, mount: name, path, ...owner }) => {
    if (FURNITURE.test(path) || !KINDS.some((kind) => isTransient(owner[kind]))) return [];
    const place = placeOf(environment, name, path);
    const found = `${owner.uids}:${owner.gids}`;
    const wanted = expected.get(place);
    if (wanted?.owner !== found) return [`${place}: owned by ${found}, not ${wanted?.owner ?? 'there'}`];
    const mount = environment.cells.find((cell) => cell.mount.name === name)?.mount;
    const isLent = KINDS.some((kind) => isTransient(environment.task.ids[kind]));
    if (!isRestricted || wanted.isOpen || !isLent || !mount || !outlivesIds(environment, mount)) return [];
    return [`${place}: owned by ${found}, which it outlives`];
  });
}

/** What is open, by why, and how often it was seen to put lent ids where they are outlived. */
export function openWays(outcomes: readonly Outcome[]): Map<string, number> {
  const ways = new Map<string, number>();
  for (const { attempt, environment, mount, result } of outcomes) {
    if (attempt.open === undefined || result !== 'ok' || !outlivesIds(environment, mount)) continue;
    if (!KINDS.some((kind) => isTransient(onDisk(mount, kind, environment.task.ids[kind])))) continue;
    ways.set(attempt.open, (ways.get(attempt.open) ?? 0) + 1);
  }
  return ways;
}
