import { statSync } from 'node:fs';
import {
  CLONE_NEWUSER,
  isSystemError,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  type PeerCredentials,
} from '@sdrx/linux';
import { varlinkService } from '@sdrx/varlink';
import { requireSafeFlags } from './safe-fd.js';

const { InvalidParameter } = varlinkService.errors;

const PARAMETER = 'userNamespaceFileDescriptor';

/**
 * Checks that a client may have something done to the namespace it passed: the fd is of a plain kind, it is a user
 * namespace, not ours, and the client is root or owns it. Never blocks.
 * @returns its inode
 * Throws InvalidParameter, and as `requireSafeFlags`.
 */
export function requireUserNamespace(fd: number, peer: PeerCredentials): number {
  requireSafeFlags(fd);
  if (namespaceType(fd) !== CLONE_NEWUSER) refuseUserNamespace();
  const inode = namespaceInode(fd);
  const allowed = inode !== statSync('/proc/self/ns/user').ino && (peer.uid === 0 || ownerOf(fd) === peer.uid);
  if (!allowed) refuseUserNamespace();
  return inode;
}

/** Throws InvalidParameter for `userNamespaceFileDescriptor`. */
export function refuseUserNamespace(): never {
  throw InvalidParameter({ parameter: PARAMETER });
}

/** Undefined if the owner is not visible from our own namespace. */
function ownerOf(fd: number): number | undefined {
  try {
    return namespaceOwner(fd);
  } catch (error) {
    if (isSystemError(error, 'EPERM', 'EINVAL')) return undefined;
    throw error;
  }
}
