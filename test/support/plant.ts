import { type NamespaceEntry, NamespaceNotes, Registry } from '@sdrx/daemon';
import type { Daemon } from './daemon.js';

/** Puts an entry into a daemon's registry behind its back, and takes it out again when disposed of. */
export function plant(
  daemon: Pick<Daemon, 'runtimeDirectory'>,
  entry: Partial<NamespaceEntry> & Pick<NamespaceEntry, 'userns'>,
): Disposable {
  const registry = Registry.open(daemon.runtimeDirectory);
  registry.store({ owner: 0, name: 'planted', cgroups: [], ...entry });
  return {
    [Symbol.dispose]: () => {
      registry.remove(entry.userns);
      registry[Symbol.dispose]();
    },
  };
}

/** Takes an entry out of a daemon's registry behind its back; harmless if there is none. */
export function forget({ runtimeDirectory }: Pick<Daemon, 'runtimeDirectory'>, inode: number): void {
  using registry = Registry.open(runtimeDirectory);
  registry.remove(inode);
  NamespaceNotes.beside(registry).forget(inode);
}
