import type { UsernsRestrict } from '@sdrx/bpf';
import type { NamespaceEntry } from '../namespace-entry.js';
import { rememberNamespace } from '../namespace-identity.js';
import { NamespaceNotes } from '../namespace-notes.js';
import type { WorkerContext } from '../worker-context.js';

export interface StoreOptions {
  /** What else has to be done for the entry to be true. */
  readonly complete?: () => void;
  /** Whether the namespace can be without its entry again, should something fail; by default it can. */
  readonly canUndo?: () => boolean;
}

/**
 * Registers a namespace, with the registry's lock held; if a step fails, nothing of it stays. The fd store does not get it: a
 * namespace that is held there never dies.
 */
export function storeNamespace(
  { registry }: WorkerContext,
  restrict: UsernsRestrict,
  entry: NamespaceEntry,
  fd: number,
  { complete = () => {}, canUndo = () => true }: StoreOptions = {},
): void {
  const { userns } = entry;
  try {
    registry.store(entry);
    rememberNamespace(fd, userns, registry);
    restrict.put(fd);
    complete();
  } catch (error) {
    if (canUndo()) {
      restrict.reset(userns);
      registry.remove(entry);
      NamespaceNotes.beside(registry).forget(userns);
    }
    throw error;
  }
}
