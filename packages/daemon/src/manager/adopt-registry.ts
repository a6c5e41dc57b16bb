import type { InstalledUsernsRestrict } from '@sdrx/bpf';
import { NamespaceNotes } from '../namespace/namespace-notes.js';
import { type Restrictor, restrictRegistered } from '../namespace/restriction.js';
import type { Log } from '../program/log.js';
import { about } from '../program/message-ids.js';
import type { Registry } from '../registry/registry.js';
import { waitAtStart } from './registry-wait.js';

/**
 * Brings the registry that a former daemon left behind, ours or systemd's, up to date, and restricts what it has.
 * @returns whether the user namespace interfaces are on
 * Throws EBUSY when another process does not give the registry's lock back.
 */
export function adoptRegistry(
  registry: Registry,
  { restrict, enforced }: Restrictor<InstalledUsernsRestrict>,
  log: Log,
): boolean {
  registry.whileWaiting = waitAtStart();
  using _lock = registry.lock();
  registry.whileWaiting = undefined;
  const { removed, restored, failures } = registry.repair();
  if (removed.length + restored.length > 0) {
    log.notice(
      `repaired the registry: removed ${removed.length} files, restored ${restored.length}`,
      undefined,
      about('registryRepaired'),
    );
  }
  if (failures.length > 0)
    log.warning(`${failures.length} files of the registry can't be repaired, the first`, failures[0]);
  const inodes = registry.inodes((file) => log.warning(`odd file in the registry, ignored: '${file}'`));
  try {
    NamespaceNotes.beside(registry).prune(inodes);
  } catch (error) {
    log.warning('notes of namespaces can not be trusted, or not be cleared', error);
  }
  return enforced === undefined ? restrict !== undefined : restrictRegistered(enforced, registry, log);
}
