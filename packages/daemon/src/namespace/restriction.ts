import { type InstalledUsernsRestrict, Unrestricted, type UsernsRestrict } from '@sdrx/bpf';
import { isSystemError } from '@sdrx/linux';
import { NEVER } from 'rxjs';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import { isOfOwnId, type NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import { NamespaceLiveness } from './namespace-liveness.js';
import { isTransient } from './uid-range.js';

/** `require`: without the BPF program the user namespace interfaces are off; `off`: they work without it. */
export const RESTRICTIONS = ['require', 'off'] as const;
export type Restriction = (typeof RESTRICTIONS)[number];

const NOT_AVAILABLE = 'userns-restrict not available, proceeding with user namespace interfaces disabled';

/** Who restricts the registered namespaces, and who finds out that they died. */
export interface Restrictor<T extends UsernsRestrict = UsernsRestrict> {
  /** Undefined where the user namespace interfaces are off. */
  readonly restrict: UsernsRestrict | undefined;
  /** The same, if the kernel enforces it. */
  readonly enforced: T | undefined;
  /** Set where the kernel does not report the death of namespaces. */
  readonly liveness: NamespaceLiveness | undefined;
}

/**
 * Sets userns-restrict up as the administrator wants it.
 * @param enforce makes the one that the kernel enforces: the manager installs it, workers open what it has installed
 */
export function setUpRestriction<T extends UsernsRestrict>(
  restriction: Restriction,
  runtimeDirectory: string,
  log: Log,
  enforce: () => T,
): Restrictor<T> {
  if (restriction === 'off') {
    // Who died is found by looking.
    const liveness = new NamespaceLiveness(runtimeDirectory);
    return { restrict: new Unrestricted(NEVER), enforced: undefined, liveness };
  }
  try {
    const enforced = enforce();
    return { restrict: enforced, enforced, liveness: undefined };
  } catch (error) {
    log.notice(NOT_AVAILABLE, error, about('restrictionOff'));
    return { restrict: undefined, enforced: undefined, liveness: undefined };
  }
}

/**
 * Restricts what the registry has, and nothing else, with its lock held: only when the kernel knows all namespaces are the
 * programs attached, and only then do those go that were there before, so that none is free for a moment.
 * @returns whether it is enforced; if not, what was there before still is
 */
export function restrictRegistered(
  restrict: InstalledUsernsRestrict,
  registry: Registry,
  log: Pick<Log, 'notice' | 'warning'>,
): boolean {
  const registered = registry.inodes();
  try {
    const known = new Set(registered);
    restrict.reset(...restrict.inodes().filter((inode) => !known.has(inode)));
    for (const inode of registered) restrictAgain(inode, restrict, registry, log);
    restrict.attach();
    return true;
  } catch (error) {
    log.notice(NOT_AVAILABLE, error, about('restrictionOff'));
    return false;
  }
}

function restrictAgain(inode: number, restrict: UsernsRestrict, registry: Registry, log: Pick<Log, 'warning'>): void {
  try {
    restrict.putInode(inode);
    const entry = registry.byInode(inode);
    if (entry !== undefined && deniesSetgroups(entry)) restrict.denySetgroups(inode);
  } catch (error) {
    // One entry that can't be read, or is one too many, costs none of the others their restriction.
    if (!isSystemError(error, 'EBADMSG', 'E2BIG')) throw error;
    log.warning(`user namespace ${inode} is not restricted as it should be`, error);
  }
}

/**
 * Whether the tasks of a namespace may not change their groups. Entries of older releases do not say: there it is one whose
 * only id is its owner's own, who might drop a group that is to keep them out.
 */
function deniesSetgroups(entry: NamespaceEntry): boolean {
  return entry.setgroupsDeny ?? (isOfOwnId(entry) && !isTransient(entry.owner));
}
