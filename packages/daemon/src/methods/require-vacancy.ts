import { EUSERS, groupExists, userExists } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { userName } from '../namespace-name.js';
import type { Registry } from '../registry.js';
import type { WorkerContext } from '../worker-context.js';

const { NameExists, UserNamespaceExists } = namespaceResource.errors;

/** What is to be registered. */
export interface Candidate extends Pick<NamespaceEntry, 'owner' | 'userns'> {
  /** The names that will do, the best one first. */
  readonly names: readonly string[];
}

/**
 * Checks, with the registry's lock held, that a namespace can be registered by one of the names. Room is
 * made before, by `makeRoom`.
 * @param limit how many namespaces a user may have; any number unless given
 * @returns the first name that is free
 * Throws EUSERS, UserNamespaceExists, NameExists.
 */
export function requireVacancy(
  { registry }: WorkerContext,
  { owner, names, userns }: Candidate,
  limit?: number,
): string {
  if (limit !== undefined && registry.hasAtLeast(limit, owner)) throw systemFailure(EUSERS);
  if (registry.byInode(userns) !== undefined) throw UserNamespaceExists();
  const name = names.find((name) => !isTaken(registry, name));
  if (name === undefined) throw NameExists();
  return name;
}

function isTaken(registry: Registry, name: string): boolean {
  const user = userName({ name, offset: 0 });
  return registry.hasName(name) || userExists(user) || groupExists(user);
}
