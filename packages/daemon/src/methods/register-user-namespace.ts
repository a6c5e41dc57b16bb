import { isDeepStrictEqual } from 'node:util';
import { mappedIds, type PeerCredentials } from '@sdrx/linux';
import type { HandlersOf } from '@sdrx/varlink';
import { map, switchMap, take } from 'rxjs';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace-process.js';
import { refuseUserNamespace, requireUserNamespace } from '../userns.js';
import type { WorkerContext } from '../worker-context.js';
import { makeRoom } from './make-room.js';
import { nameReply, requestedNames } from './requested-names.js';
import { requireRestrict } from './require-restrict.js';
import { requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';

/** Registers a user namespace whose maps its owner has written. */
export function registerUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['RegisterUserNamespace'] {
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const names = requestedNames(parameters, owner);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    return enterUserNamespace(context, fd, owner).pipe(
      switchMap((inside) => {
        if (!isOfPeer(inside, call.peer)) refuseUserNamespace();
        return makeRoom(context, { owner, names, userns }, fd);
      }),
      map(() => {
        using _lock = context.registry.lock();
        const name = requireVacancy(context, { owner, names, userns });
        storeNamespace(context, restrict, { owner, name, userns, cgroups: [] }, fd);
        return nameReply(parameters, name);
      }),
      // Who is inside stays there until all is done.
      take(1),
    );
  };
}

/** Whether the maps are what a user may write: users and groups alike, of the user's own ids first, which are root. */
function isOfPeer(inside: NamespaceProcess, { uid, gid }: PeerCredentials): boolean {
  const [uidMap, gidMap] = [inside.readMap('uid_map'), inside.readMap('gid_map')];
  const [users, groups] = [mappedIds(uidMap, 'outside'), mappedIds(gidMap, 'outside')];
  const [usersInside, groupsInside] = [mappedIds(uidMap, 'inside'), mappedIds(gidMap, 'inside')];
  if (!isDeepStrictEqual(users, groups) || !isDeepStrictEqual(usersInside, groupsInside)) return false;
  const [first] = users;
  if (first === undefined || first.first !== uid || first.first !== gid) return false;
  const isSingle = users.length === 1 && first.count === 1;
  return isSingle || usersInside[0]?.first === 0;
}
