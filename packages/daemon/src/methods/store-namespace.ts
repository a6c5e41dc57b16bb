import type { UsernsRestrict } from '@sdrx/bpf';
import { rememberNamespace } from '../namespace/namespace-identity.js';
import { NamespaceNotes } from '../namespace/namespace-notes.js';
import { attempt } from '../program/attempt.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';

export interface StoreOptions {
  /** What else has to be done for the entry to be true. */
  readonly complete?: () => void;
  /** Whether the namespace can be without its entry again, should something fail; by default it can. */
  readonly canUndo?: () => boolean;
}

/**
 * Registers a namespace, with the registry's lock held; if a step fails, nothing of it stays, as far as that can be undone. The fd
 * store does not get it: a namespace that is held there never dies.
 */
export function storeNamespace(
  { registry, log }: WorkerContext,
  restrict: UsernsRestrict,
  entry: NamespaceEntry,
  fd: number,
  { complete = () => {}, canUndo = () => true }: StoreOptions = {},
): void {
  const { userns } = entry;
  const undo: (() => void)[] = [];
  try {
    registry.store(entry);
    undo.push(() => registry.remove(entry));
    undo.push(() => NamespaceNotes.beside(registry).forget(userns));
    rememberNamespace(fd, userns, registry);
    undo.push(() => restrict.reset(userns));
    restrict.put(fd);
    if (entry.setgroupsDeny === true) restrict.denySetgroups(userns);
    complete();
  } catch (error) {
    if (canUndo()) {
      for (const failure of undo.reverse().flatMap(attempt))
        log.warning(`registering user namespace ${userns}: not all of it could be undone`, failure);
    }
    throw error;
  }
}
