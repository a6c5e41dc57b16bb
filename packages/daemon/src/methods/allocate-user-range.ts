import type { UsernsRestrict } from '@sdrx/bpf';
import { groupExists, mapCovers, mapOverlaps, readIdMap, userExists } from '@sdrx/linux';
import { type HandlersOf, varlinkService } from '@sdrx/varlink';
import { map, switchMap, take } from 'rxjs';
import { namespaceResource } from '../interfaces/namespace-resource.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace-process.js';
import { allocateRange, dynamicIds, isSize, type Size } from '../uid-range.js';
import { refuseUserNamespace, requireUserNamespace } from '../userns.js';
import type { WorkerContext } from '../worker-context.js';
import { makeRoom } from './make-room.js';
import { nameReply, requestedNames } from './requested-names.js';
import { requireRestrict } from './require-restrict.js';
import { type Candidate, requireVacancy } from './require-vacancy.js';
import { storeNamespace } from './store-namespace.js';

const { DynamicRangeUnavailable, NoDynamicRange } = namespaceResource.errors;
const { InvalidParameter } = varlinkService.errors;

/** How many namespaces a user may have. */
const NAMESPACES_PER_USER = 256;

/** Gives a user namespace a free range of ids, and registers it. */
export function allocateUserRange(
  context: WorkerContext,
): Required<HandlersOf<typeof namespaceResource>>['AllocateUserRange'] {
  return (parameters, call) => {
    const restrict = requireRestrict(context);
    const { uid: owner } = call.peer;
    const names = requestedNames(parameters, owner);
    const { size, target = 0 } = parameters;
    if (!isSize(size)) throw InvalidParameter({ parameter: 'size' });
    if (target + size > 0xffff_ffff) throw InvalidParameter({ parameter: 'target' });
    const fd = call.fd(parameters.userNamespaceFileDescriptor);
    const userns = requireUserNamespace(fd, call.peer);
    return enterUserNamespace(context, fd, owner).pipe(
      switchMap((inside) => {
        const isUnmapped = () => inside.readMap('uid_map').length === 0 && inside.readMap('gid_map').length === 0;
        if (!isUnmapped()) refuseUserNamespace();
        const options = { limit: NAMESPACES_PER_USER, isUnmapped };
        return makeRoom(context, { owner, names, userns }, fd, options).pipe(map(() => inside));
      }),
      map((inside) => {
        const name = allocate(context, restrict, { owner, names, userns, size, target }, fd, inside);
        return nameReply(parameters, name);
      }),
      // Who is inside stays there until all is done.
      take(1),
    );
  };
}

interface Request extends Candidate {
  readonly size: Size;
  readonly target: number;
}

/** All that needs the registry to stand still; synchronous, so that nothing comes in between. @returns its name */
function allocate(
  context: WorkerContext,
  restrict: UsernsRestrict,
  request: Request,
  fd: number,
  inside: NamespaceProcess,
): string {
  const { owner, userns, size, target } = request;
  using _lock = context.registry.lock();
  const name = requireVacancy(context, request, NAMESPACES_PER_USER);
  const range = { start: findRange(context, name, size), size, target };
  const ids = { inside: target, outside: range.start, count: size };
  let mapped = false;
  storeNamespace(context, restrict, { owner, name, userns, range, cgroups: [] }, fd, {
    complete: () => {
      inside.writeMap('uid_map', ids);
      mapped = true;
      inside.writeMap('gid_map', ids);
    },
    // Ids that a map gives to a namespace are in use until it dies, whatever else went wrong.
    canUndo: () => !mapped,
  });
  return name;
}

/** Throws DynamicRangeUnavailable, NoDynamicRange. */
function findRange(context: WorkerContext, name: string, size: Size): number {
  const { registry } = context;
  const ownMap = readIdMap('uid_map');
  const { first, last } = dynamicIds(size);
  if (!mapOverlaps(ownMap, first, last - first + 1)) throw DynamicRangeUnavailable();
  const isFree = (start: number): boolean =>
    mapCovers(ownMap, start, size) && registry.isRangeFree(start, size) && !userExists(start) && !groupExists(start);
  const start = allocateRange(name, size, isFree, (starts) => registry.unregistered(starts));
  if (start === undefined) throw NoDynamicRange();
  return start;
}
