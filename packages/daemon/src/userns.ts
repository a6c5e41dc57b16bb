import { statSync } from 'node:fs';
import {
  CLONE_NEWUSER,
  EREMOTEIO,
  isSystemError,
  namespaceInode,
  namespaceOwner,
  namespaceType,
  O_ACCMODE,
  O_LARGEFILE,
  O_NOFOLLOW,
  type PeerCredentials,
  statusFlags,
} from '@sdrx/linux';
import { systemFailure, varlinkService } from '@sdrx/varlink';

const { InvalidParameter } = varlinkService.errors;

const PARAMETER = 'userNamespaceFileDescriptor';
const SAFE_FLAGS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE;

/**
 * Checks that a client may have something done to the namespace it passed: the fd is of a plain kind (no O_PATH and the
 * like, by which one could pass what one may not open), it is a user namespace, not ours, and the client is root or owns
 * it.
 * @returns its inode
 * Throws InvalidParameter; for the kind of fd EREMOTEIO as `io.systemd.System`, which is systemd's answer, too.
 */
export function requireUserNamespace(fd: number, peer: PeerCredentials): number {
  if ((statusFlags(fd) & ~SAFE_FLAGS) !== 0) throw systemFailure(EREMOTEIO);
  const inode = namespaceInode(fd);
  const allowed =
    namespaceType(fd) === CLONE_NEWUSER &&
    inode !== statSync('/proc/self/ns/user').ino &&
    (peer.uid === 0 || ownerOf(fd) === peer.uid);
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
