import { lstatSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';
import { firstIdOf, isTransient } from '../namespace/uid-range.js';
import { hasUid, type NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import { type LentIds, SubordinateIds } from './subordinate-ids.js';

const ROOT = 0;

/** More steps than namespaces can be nested, 33 levels, so that a registry with a circle in it leads nowhere. */
const STEPS = 34;

/**
 * Who answers for ids that are given to namespaces, but to none that is known. chown(2) could not name this one, so no user
 * has it.
 */
export const NOBODYS_ACCOUNT = 0xffff;

/** Entries that were looked up by an id, by the first one of the range that the id is in. */
type Known = Map<number, NamespaceEntry>;

export interface AccountsOptions {
  readonly subordinateIds?: SubordinateIds;
  /** Where a service manager notes the uids of its services' dynamic users; /run/systemd/dynamic-uid unless given. */
  readonly dynamicUsers?: string;
}

/**
 * Who answers for a uid, where something is counted by user: one user may have many uids, and what each of these has is that
 * user's.
 *
 * - An id of a registered namespace answers to that namespace's owner, and so on while that is such an id, too.
 * - A subordinate id answers to the user who has it.
 * - What root has lent is a user of its own, by the first id of the range: a container is not root.
 * - Other ids that we might give away answer to `NOBODYS_ACCOUNT` together, so that nobody gains by an entry that is gone or
 *   can't be read; but a dynamic user of a service is a user.
 * - All others answer for themselves.
 */
export class Accounts {
  readonly #registry: Registry;
  readonly #subordinateIds: SubordinateIds;
  readonly #dynamicUsers: string;

  constructor(registry: Registry, options: AccountsOptions = {}) {
    const { subordinateIds = new SubordinateIds(), dynamicUsers = '/run/systemd/dynamic-uid' } = options;
    this.#registry = registry;
    this.#subordinateIds = subordinateIds;
    this.#dynamicUsers = dynamicUsers;
  }

  /** The uid of the user who answers for a uid: root's for 0 only. Nothing is thrown. */
  of(uid: number): number {
    return this.#of(uid, new Map());
  }

  /** Those of these uids for which the same user answers as for `uid`. */
  sameAs(uid: number, uids: readonly number[]): number[] {
    const known: Known = new Map();
    const account = this.#of(uid, known);
    return uids.filter((other) => this.#of(other, known) === account);
  }

  #of(uid: number, known: Known): number {
    let id = uid;
    for (let step = 0; step < STEPS; step++) {
      if (id === ROOT) return ROOT;
      const lent = this.#registered(id, known) ?? this.#subordinateIds.find(id);
      if (lent === undefined) return isTransient(id) && !this.#isDynamicUser(id) ? NOBODYS_ACCOUNT : id;
      const { owner = ROOT, first } = lent;
      if (owner === ROOT) return first;
      id = owner;
    }
    return NOBODYS_ACCOUNT;
  }

  #registered(uid: number, known: Known): LentIds | undefined {
    const first = firstIdOf(uid);
    if (first === undefined) return undefined;
    let entry = known.get(first);
    if (entry === undefined || !hasUid(entry, uid)) entry = this.#look(uid);
    if (entry === undefined) return undefined;
    known.set(first, entry);
    const { owner, range } = entry;
    // Where a namespace has several ranges, these are one user.
    return { owner, first: range !== undefined && isTransient(range.start) ? range.start : first };
  }

  #look(uid: number): NamespaceEntry | undefined {
    try {
      return this.#registry.byUid(uid);
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return undefined;
    }
  }

  #isDynamicUser(uid: number): boolean {
    try {
      return lstatSync(`${this.#dynamicUsers}/${uid}`, { throwIfNoEntry: false }) !== undefined;
    } catch (error) {
      if (!isSystemError(error)) throw error;
      return false;
    }
  }
}
