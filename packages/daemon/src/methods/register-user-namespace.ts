import { isDeepStrictEqual } from 'node:util';
import { mappedIds, type PeerCredentials } from '@sdrx/linux';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { map, take } from 'rxjs';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import type { NamespaceEntry } from '../namespace-entry.js';
import { registryName } from '../namespace-name.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace-process.js';
import { refuseUserNamespace, requireUserNamespace } from '../userns.js';
import type { WorkerContext } from '../worker-context.js';
import { requireRestrict } from './require-restrict.js';
import { requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';

const { InvalidParameter } = varlinkService.errors;

/** Registers a user namespace whose maps its owner has written. */
export function registerUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['RegisterUserNamespace'] {
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const name = registryName(parameters.name, owner);
    if (name === undefined) throw InvalidParameter({ parameter: 'name' });
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    return enterUserNamespace(context.loop, fd).pipe(
      take(1),
      map((inside) => {
        if (!isOfPeer(inside, call.peer)) refuseUserNamespace();
        const entry: NamespaceEntry = { owner, name, userns, cgroups: [] };
        using _lock = context.registry.lock();
        requireVacancy(context, entry, fd);
        storeNamespace(context, restrict, entry, fd);
        return {};
      }),
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
