import type { UsernsRestrict } from '@sdrx/bpf';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { combineLatest, defer, map, switchMap, take, tap } from 'rxjs';
import type { namespaceResource } from '../interfaces/namespace-resource.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace/namespace-process.js';
import { isSize } from '../namespace/uid-range.js';
import { ACTIONS } from '../polkit/action.js';
import type { NamespaceEntry } from '../registry/namespace-entry.js';
import type { WorkerContext } from '../worker/worker-context.js';
import { makeRoom } from './make-room.js';
import { NameAnswers } from './name-answers.js';
import { NamespaceShare } from './namespace-share.js';
import { RangeSearch } from './range-search.js';
import { nameReply, requestedNames } from './requested-names.js';
import { requireAuthorization } from './require-authorization.js';
import { requireRestrict } from './require-restrict.js';
import { requireShare } from './require-share.js';
import { requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';
import { refuseUserNamespace, requireUserNamespace } from './userns.js';

const { InvalidParameter } = varlinkService.errors;

/** Gives a user namespace a free range of ids, and registers it. */
export function allocateUserRange(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AllocateUserRange'] {
  const { loop, registry, lookups } = context;
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const names = requestedNames(parameters, owner);
    const { size, target = 0 } = parameters;
    if (!isSize(size)) throw InvalidParameter({ parameter: 'size' });
    if (target + size > 0xffff_ffff) throw InvalidParameter({ parameter: 'target' });
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);

    const candidate = { names, userns };
    const share = new NamespaceShare(context, owner);
    const answers = new NameAnswers(loop, lookups);
    const search = new RangeSearch(size, answers);
    /** What it would get, as the registry is now. */
    const choose = (): NamespaceEntry & Required<Pick<NamespaceEntry, 'range'>> => {
      const name = requireVacancy(registry, candidate, share, answers);
      const range = { start: search.find(name, registry), size, target };
      return { owner, name, userns, range, cgroups: [] };
    };
    const authorized = defer(() => requireAuthorization(context, call, ACTIONS.allocate, { name: names[0] ?? '' }));
    const entered = enterUserNamespace(context, fd, owner).pipe(
      tap(requireUnmapped),
      switchMap((inside) => authorized.pipe(map(() => inside))),
    );
    // Who is inside stays there until all is done.
    return requireShare(context, owner, share).pipe(
      switchMap(() => combineLatest([entered, answers.prepare(choose)])),
      switchMap(([inside]) => {
        const isUnmapped = () => !hasMaps(inside);
        return makeRoom(context, candidate, fd, isUnmapped).pipe(map(() => inside));
      }),
      switchMap((inside) =>
        answers.answering(() =>
          registry.acquire(loop).pipe(
            map((held) => {
              using _lock = held;
              const entry = choose();
              requireUnmapped(inside);
              allocate(context, restrict, entry, fd, inside);
              return nameReply(parameters, entry.name);
            }),
          ),
        ),
      ),
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
  entry: NamespaceEntry & Required<Pick<NamespaceEntry, 'range'>>,
  fd: number,
  inside: NamespaceProcess,
): void {
  const { start, size, target } = entry.range;
  const ids = { inside: target, outside: start, count: size };
  let mapped = false;
  storeNamespace(context, restrict, entry, fd, {
    complete: () => {
      inside.writeMap('uid_map', ids);
      mapped = true;
      inside.writeMap('gid_map', ids);
    },
    // Ids that a map gives to a namespace are in use until it dies, whatever else went wrong.
    canUndo: () => !mapped,
  });
}
