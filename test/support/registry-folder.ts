import { type NamespaceEntry, Registry } from '@sdrx/daemon';
import { Folder } from './folder.js';

/** A runtime directory with a registry that has these entries. */
export class RegistryFolder extends Folder {
  constructor(...entries: readonly NamespaceEntry[]) {
    super();
    using registry = Registry.open(this.path);
    for (const entry of entries) registry.store(entry);
  }

  get runtimeDirectory(): string {
    return this.path;
  }
}
