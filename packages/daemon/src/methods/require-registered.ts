import { namespaceResource } from '../interfaces/namespace-resource.js';
import { isSameNamespace } from '../namespace/namespace-identity.js';
import { entrySnapshot } from '../registry/entry-snapshot.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';

/**
 * The entry of a namespace, with the registry's lock held; one of a dead namespace that had the same inode does not count.
 * Throws UserNamespaceNotRegistered.
 */
export function requireRegistered({ registry }: WorkerContext, fd: number, userns: number): NamespaceEntry {
  const namespace = entrySnapshot(registry, userns);
  const entry = namespace === undefined ? undefined : registry.byInode(userns);
  if (namespace === undefined || entry === undefined || isSameNamespace(fd, namespace, registry) === false)
    throw namespaceResource.errors.UserNamespaceNotRegistered();
  return entry;
}
