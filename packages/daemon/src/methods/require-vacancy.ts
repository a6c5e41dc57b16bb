import { EUSERS, groupExists, userExists } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { userName } from '../namespace-name.js';
import { releaseNamespace, sweep } from '../release.js';
import type { WorkerContext } from '../worker-context.js';

const { NameExists, UserNamespaceExists } = namespaceResource.errors;

/**
 * Checks, with the registry's lock held, that a namespace and its name can be registered. Entries of dead namespaces make
 * room.
 * @param limit how many namespaces a user may have; any number unless given
 * Throws EUSERS, UserNamespaceExists, NameExists.
 */
export function requireVacancy(
  context: WorkerContext,
  { owner, name, userns }: Pick<NamespaceEntry, 'owner' | 'name' | 'userns'>,
  fd: number,
  limit?: number,
): void {
  const { registry, liveness } = context;
  const isFull = () => limit !== undefined && registry.hasAtLeast(limit, owner);
  const isKnown = () => registry.byInode(userns) !== undefined;
  if (isKnown() && liveness?.isSame(fd, userns) === false) releaseNamespace(userns, context);
  if (isFull() || isKnown() || registry.hasName(name)) sweep(context);
  if (isFull()) throw systemFailure(EUSERS);
  if (isKnown()) throw UserNamespaceExists();
  const user = userName({ name, offset: 0 });
  if (registry.hasName(name) || userExists(user) || groupExists(user)) throw NameExists();
}
