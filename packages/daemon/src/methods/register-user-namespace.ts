import { isDeepStrictEqual } from 'node:util';
import { mappedIds, type PeerCredentials } from '@sdrx/linux';
import type { HandlersOf } from '@sdrx/varlink';
import { combineLatest, map, switchMap, take, tap } from 'rxjs';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace/namespace-process.js';
import { ACTIONS } from '../polkit/action.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { makeRoom } from './make-room.js';
import { NameAnswers } from './name-answers.js';
import { NamespaceShare } from './namespace-share.js';
import { requestedName } from './requested-name.js';
import { requireAuthorization } from './require-authorization.js';
import { requireRestrict } from './require-restrict.js';
import { requireShare } from './require-share.js';
import { requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';
import { refuseUserNamespace, requireUserNamespace } from './userns.js';

/** Registers a user namespace whose maps its owner has written. */
export function registerUserNamespace(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['RegisterUserNamespace'] {
  const { loop, registry, lookups } = context;
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const name = requestedName(parameters, call);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);

    const candidate = { name, userns };
    const share = new NamespaceShare(context, owner);
    const answers = new NameAnswers(loop, lookups);
    const check = () => requireVacancy(registry, candidate, share, answers);
    const entered = enterUserNamespace(context, fd, owner).pipe(
      tap((inside) => {
        if (!isOfPeer(inside, call.peer)) refuseUserNamespace();
      }),
      // What has been written in a map stays.
      take(1),
      switchMap(() => requireAuthorization(context, call, ACTIONS.register, { name })),
    );
    return requireShare(context, owner, share).pipe(
      switchMap(() => combineLatest([entered, answers.prepare(check)])),
      switchMap(() => makeRoom(context, candidate, fd)),
      switchMap(() =>
        answers.answering(() =>
          registry.acquire(loop).pipe(
            map((held) => {
              using _lock = held;
              check();
              storeNamespace(context, restrict, { owner, name, userns, cgroups: [] }, fd);
              return { name };
            }),
          ),
        ),
      ),
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
