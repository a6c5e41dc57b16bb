import { namespaceResource } from '../interfaces/namespace-resource.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { releaseNamespace } from '../release.js';
import type { WorkerContext } from '../worker-context.js';

/**
 * The entry of a namespace, with the registry's lock held; one of a dead namespace that had the same inode does not count.
 * Throws UserNamespaceNotRegistered.
 */
export function requireRegistered(context: WorkerContext, fd: number, userns: number): NamespaceEntry {
  const { registry, liveness } = context;
  const entry = registry.byInode(userns);
  const isOther = entry !== undefined && liveness?.isSame(fd, userns) === false;
  if (isOther) releaseNamespace(userns, context);
  if (entry === undefined || isOther) throw namespaceResource.errors.UserNamespaceNotRegistered();
  return entry;
}
