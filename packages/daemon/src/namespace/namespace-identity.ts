import { isSystemError, namespaceId, namespaceInode, openUserNamespace } from '@sdrx/linux';
import { type EntrySnapshot, entrySnapshot } from '../registry/entry-snapshot.js';
import type { Registry } from '../registry/registry.js';
import { NamespaceNotes } from './namespace-notes.js';

/**
 * Whether `fd` is the very namespace that an entry is about, and not another one that got its inode; undefined if there is
 * no telling, as before Linux 6.18.
 */
export function isSameNamespace(fd: number, namespace: EntrySnapshot, registry: Registry): boolean | undefined {
  if (namespaceInode(fd) !== namespace.inode) return false;
  const registered = namespace.entry?.usernsId ?? NamespaceNotes.beside(registry).id(namespace);
  const id = registered === undefined ? undefined : namespaceId(fd);
  return id === undefined ? undefined : registered === id;
}

/**
 * Notes by which id the namespace `fd` can be told, now that its entry is as it is. With the registry's lock held. Does nothing
 * where there are no ids; an id in the entry itself needs no note.
 */
export function rememberNamespace(fd: number, inode: number, registry: Registry): void {
  const id = namespaceId(fd);
  const namespace = id === undefined ? undefined : entrySnapshot(registry, inode);
  if (id === undefined || namespace === undefined || namespace.entry?.usernsId !== undefined) return;
  NamespaceNotes.beside(registry).remember(inode, id, namespace.file);
}

/** Whether the namespace with this id is dead; undefined if the kernel can't tell, or not us. */
export function isDead(id: bigint, inode: number): boolean | undefined {
  try {
    openUserNamespace(id, inode).close();
    return false;
  } catch (error) {
    if (isSystemError(error, 'ESTALE')) return true;
    if (isSystemError(error, 'EPERM', 'EACCES', 'EBADF', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL')) return undefined;
    throw error;
  }
}
