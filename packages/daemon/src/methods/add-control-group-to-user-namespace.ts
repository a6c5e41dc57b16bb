import { chmodSync, chownSync, fstatSync, type Stats, statSync } from 'node:fs';
import { isCgroup, isSystemError, O_DIRECTORY, type PeerCredentials, statx } from '@sdrx/linux';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { switchMap } from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { rememberNamespace } from '../namespace/namespace-identity.js';
import { ACTIONS } from '../polkit/action.js';
import { locked } from '../registry/locked.js';
import { firstGid } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { requireAuthorization } from './require-authorization.js';
import { requireRegistered } from './require-registered.js';
import { requireRestrict } from './require-restrict.js';
import { requireDirectory, requireSafeFlags } from './safe-fd.js';
import { requireUserNamespace } from './userns.js';

const { ControlGroupAlreadyAdded, TooManyControlGroups, UserNamespaceWithoutUserRange } = namespaceResource.errors;
const { InvalidParameter, PermissionDenied } = varlinkService.errors;

/** A namespace that has more gets no others; systemd lets it have one more than this, so do we. */
const CONTROL_GROUPS = 16;

/** What a cgroup is delegated by, and with which mode: the directory and these files of it. cgroups(7) */
const DELEGATED = [
  ['.', 0o755],
  ['cgroup.procs', 0o644],
  ['cgroup.subtree_control', 0o644],
  ['cgroup.threads', 0o644],
] as const;

/** Hands a cgroup to a registered namespace: its directory and files become those of the range's first id. */
export function addControlGroupToUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AddControlGroupToUserNamespace'] {
  return (parameters, call) => {
    requireRestrict(context);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    const cgroup = call.fd(parameters.controlGroupFileDescriptor);
    requireSafeFlags(cgroup, O_DIRECTORY);
    requireDirectory(cgroup);
    if (!isCgroup(cgroup)) throw InvalidParameter({ parameter: 'controlGroupFileDescriptor' });
    const addIt = () => {
      add(context, { fd, userns, cgroup }, call.peer);
      return {};
    };
    return requireAuthorization(context, call, ACTIONS.delegateCgroup).pipe(
      switchMap(() => locked(context.loop, context.registry, addIt)),
    );
  };
}

/** The user namespace, by its descriptor and inode, and the descriptor of the cgroup that it gets. */
interface Addition {
  readonly fd: number;
  readonly userns: number;
  readonly cgroup: number;
}

/** With the registry's lock held. */
function add(context: WorkerContext, { fd, userns, cgroup }: Addition, { uid }: PeerCredentials): void {
  const { registry } = context;
  const entry = requireRegistered(context, fd, userns);
  const id = statx(cgroup).inode;
  if (entry.range === undefined) throw UserNamespaceWithoutUserRange();
  if (entry.cgroups.includes(id)) throw ControlGroupAlreadyAdded();
  if (entry.cgroups.length > CONTROL_GROUPS) throw TooManyControlGroups();
  if (uid !== 0 && (uid !== entry.owner || fstatSync(cgroup).uid !== uid)) throw PermissionDenied();
  const write = (cgroups: readonly bigint[]): void => {
    registry.update({ ...entry, cgroups });
    rememberNamespace(fd, userns, registry);
  };
  write([...entry.cgroups, id]);
  try {
    delegate(cgroup, entry.range.start, firstGid(entry.range));
  } catch (error) {
    // If it stays on the list, nothing is lost: it is given back with the others.
    attempt(() => write(entry.cgroups));
    throw error;
  }
}

/** Gives a cgroup to a user and a group; if that fails half way, takes it back. */
function delegate(cgroup: number, uid: number, gid: number): void {
  const undo: (() => void)[] = [];
  try {
    for (const [file, mode] of DELEGATED) {
      const path = `/proc/self/fd/${cgroup}/${file}`;
      const before = statSync(path, { throwIfNoEntry: false });
      // The root cgroup has not all of the files.
      if (before === undefined) continue;
      undo.push(() => setOwner(path, before));
      setOwner(path, { uid, gid, mode });
    }
  } catch (error) {
    undo.forEach(attempt);
    throw error;
  }
}

/** What can't be changed was not changed: the other steps are done all the same. */
function attempt(step: () => void): void {
  try {
    step();
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

function setOwner(path: string, { uid, gid, mode }: Pick<Stats, 'uid' | 'gid' | 'mode'>): void {
  chownSync(path, uid, gid);
  chmodSync(path, mode & 0o7777);
}
