import type { UsernsRestrict } from '@sdrx/bpf';
import type { NamespaceEntry } from '../namespace-entry.js';
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
  { registry, liveness }: WorkerContext,
  restrict: UsernsRestrict,
  entry: NamespaceEntry,
  fd: number,
  { complete = () => {}, canUndo = () => true }: StoreOptions = {},
): void {
  const { userns } = entry;
  liveness?.remember(fd, userns);
  try {
    registry.store(entry);
    restrict.put(fd);
    complete();
  } catch (error) {
    if (canUndo()) {
      restrict.reset(userns);
      registry.remove(entry);
      liveness?.forget(userns);
    }
    throw error;
  }
}
