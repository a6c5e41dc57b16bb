import { ENOMSG, EUCLEAN, type IdMapKind, SystemError } from '@sdrx/linux';
import type { NamespaceProcess } from './namespace-process.js';

/**
 * The host's id of a namespace's root, user and group alike. Throws, as systemd does, ENOMSG for a namespace that has no root, or no
 * maps; EUCLEAN where its user and group have different ids.
 */
export function rootOutside(inside: NamespaceProcess): number {
  const [uid, gid] = [outside(inside, 'uid_map'), outside(inside, 'gid_map')];
  if (uid !== gid) throw new SystemError(EUCLEAN, 'read', `root is user ${uid} and group ${gid}`);
  return uid;
}

function outside(process: NamespaceProcess, kind: IdMapKind): number {
  const entry = process.readMap(kind).find(({ inside }) => inside === 0);
  if (entry === undefined) throw new SystemError(ENOMSG, 'read', kind);
  return entry.outside;
}
