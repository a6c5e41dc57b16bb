import type { UsernsRestrict } from '@sdrx/bpf';
import type { HandlersOf } from '@sdrx/varlink';
import { combineLatest, defer, map, switchMap, take, tap } from 'rxjs';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import type { MapWriter } from '../namespace/map-files.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace/namespace-process.js';
import { ACTIONS } from '../polkit/action.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { idSource, mapWriter } from './id-source.js';
import { makeRoom, makeRoomForIds } from './make-room.js';
import { NameAnswers } from './name-answers.js';
import { NamespaceShare } from './namespace-share.js';
import { type Allocation, RangeChoice } from './range-choice.js';
import { requestedName } from './requested-name.js';
import { requestedRange } from './requested-range.js';
import { requireAuthorization } from './require-authorization.js';
import { requireRestrict } from './require-restrict.js';
import { requireShare } from './require-share.js';
import { requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';
import { refuseUserNamespace, requireUserNamespace } from './userns.js';

/** Gives a user namespace ids, and registers it. */
export function allocateUserRange(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AllocateUserRange'] {
  const { loop, registry, lookups } = context;
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const name = requestedName(parameters, call);
    const requested = requestedRange(parameters);
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);

    const candidate = { owner, name, userns };
    const share = new NamespaceShare(context, owner);
    const answers = new NameAnswers(loop, lookups);
    const authorized = defer(() => requireAuthorization(context, call, ACTIONS.allocate, { name }));
    const entered = enterUserNamespace(context, fd, owner).pipe(
      tap(requireUnmapped),
      switchMap((inside) => authorized.pipe(map(() => inside))),
    );
    return requireShare(context, owner, share).pipe(
      switchMap(() => idSource(context, fd, owner)),
      switchMap((source) => {
        const choice = new RangeChoice(requested, call.peer, source, answers);
        /** What it would get, as the registry is now. */
        const choose = (): Allocation => {
          requireVacancy(registry, candidate, share, answers);
          return choice.choose(candidate, fd, registry);
        };
        // Who is inside stays there until all is done.
        return combineLatest([entered, answers.prepare(choose)]).pipe(
          switchMap(([inside]) => {
            const isUnmapped = () => !hasMaps(inside);
            return makeRoom(context, candidate, fd, isUnmapped).pipe(
              // What it would get may not have been known before.
              switchMap(() => answers.prepare(choose)),
              switchMap(() => makeRoomForIds(context, choice.obstacles)),
              map(() => inside),
            );
          }),
          switchMap((inside) =>
            mapWriter(context, fd, source, inside).pipe(
              switchMap((writer) =>
                answers.answering(() =>
                  registry.acquire(loop).pipe(
                    map((held) => {
                      using _lock = held;
                      const allocation = choose();
                      requireUnmapped(inside);
                      allocate(context, restrict, allocation, fd, { inside, writer });
                      return { name };
                    }),
                  ),
                ),
              ),
            ),
          ),
        );
      }),
      take(1),
    );
  };
}

function hasMaps(inside: NamespaceProcess): boolean {
  return inside.readMap('uid_map').length > 0 || inside.readMap('gid_map').length > 0;
}

/** Throws InvalidParameter for a namespace that has maps. */
function requireUnmapped(inside: NamespaceProcess): void {
  if (hasMaps(inside)) refuseUserNamespace();
}

/** Gives a namespace its ids, with the registry's lock held. */
function allocate(
  context: WorkerContext,
  restrict: UsernsRestrict,
  { entry, maps }: Allocation,
  fd: number,
  { inside, writer }: { readonly inside: NamespaceProcess; readonly writer: MapWriter },
): void {
  let mapped = false;
  storeNamespace(context, restrict, entry, fd, {
    complete: () => {
      // Else the restriction does it, for this namespace only.
      if (entry.setgroupsDeny === true && !restrict.enforced) inside.denySetgroups();
      writer.writeMap('uid_map', ...maps.uid_map);
      mapped = true;
      writer.writeMap('gid_map', ...maps.gid_map);
    },
    // Ids that a map gives to a namespace are in use until it dies, whatever else went wrong.
    canUndo: () => !mapped,
  });
}
