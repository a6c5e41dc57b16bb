import { EUSERS, groupExists, userExists } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { userName } from '../namespace-name.js';
import type { Registry } from '../registry.js';
import { releaseNamespace, sweep } from '../release.js';
import type { WorkerContext } from '../worker-context.js';

const { NameExists, UserNamespaceExists } = namespaceResource.errors;

/** What is to be registered. */
export interface Candidate extends Pick<NamespaceEntry, 'owner' | 'userns'> {
  /** The names that will do, the best one first. */
  readonly names: readonly string[];
}

/**
 * Checks, with the registry's lock held, that a namespace can be registered by one of the names. Entries of dead namespaces
 * make room.
 * @param limit how many namespaces a user may have; any number unless given
 * @returns the first name that is free
 * Throws EUSERS, UserNamespaceExists, NameExists.
 */
export function requireVacancy(
  context: WorkerContext,
  { owner, names, userns }: Candidate,
  fd: number,
  limit?: number,
): string {
  const { registry, liveness } = context;
  const isFull = () => limit !== undefined && registry.hasAtLeast(limit, owner);
  const isKnown = () => registry.byInode(userns) !== undefined;
  if (isKnown() && liveness?.isSame(fd, userns) === false) releaseNamespace(userns, context);
  if (isFull() || isKnown() || names.every((name) => registry.hasName(name))) sweep(context);
  if (isFull()) throw systemFailure(EUSERS);
  if (isKnown()) throw UserNamespaceExists();
  const name = names.find((name) => !isTaken(registry, name));
  if (name === undefined) throw NameExists();
  return name;
}

function isTaken(registry: Registry, name: string): boolean {
  const user = userName({ name, offset: 0 });
  return registry.hasName(name) || userExists(user) || groupExists(user);
}
