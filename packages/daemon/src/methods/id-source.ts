import { statSync } from 'node:fs';
import { ESRCH, type IdMapKind, type IdRun, mappedIds, namespaceInode, parentNamespace, readIdMap } from '@sdrx/linux';
import { systemFailure } from '@sdrx/varlink';
import { defer, finalize, map, type Observable, of, take } from 'rxjs';
import { type MapWriter, openMaps } from '../namespace/map-files.js';
import { isSameNamespace } from '../namespace/namespace-identity.js';
import { enterUserNamespace, type NamespaceProcess } from '../namespace/namespace-process.js';
import { entrySnapshot } from '../registry/entry-snapshot.js';
import type { WorkerContext } from '../worker/worker-context.js';
import type { IdMaps } from './maps-of.js';

/** Where the ids of a namespace come from: the namespace above it. */
export interface IdSource {
  /** Whether that is the one that we are in. */
  readonly isOurs: boolean;
  /** The inode by which the registry knows it, if it does. */
  readonly holder?: number | undefined;
  /** The uids that there are in it, by the numbers that they have there. */
  readonly ids: readonly IdRun[];
  /**
   * The number that an id has in it.
   * @param id as it is numbered where we are
   * Throws ESRCH, as `io.systemd.System`, which is systemd's answer where it has no such id.
   */
  inside(kind: IdMapKind, id: number): number;
}

/**
 * Finds out where the ids of a namespace come from.
 * @param owner for whom this is done
 * Fails with EPERM where the namespace above is not ours to see, and as `enterUserNamespace`.
 */
export function idSource(context: WorkerContext, namespace: number, owner: number): Observable<IdSource> {
  return withParent(namespace, (above) => {
    if (isOurNamespace(above)) return of(ourIds());
    return enterUserNamespace(context, above, owner).pipe(
      // What has been written in a map stays.
      take(1),
      map((inside) => {
        const maps = { uid_map: inside.readMap('uid_map'), gid_map: inside.readMap('gid_map') };
        return idsOf(maps, holderOf(context, above));
      }),
    );
  });
}

/** What writes the maps of a namespace that a process is in; to unsubscribe ends it. Fails as `openMaps`. */
export function mapWriter(
  { loop, launcher }: WorkerContext,
  namespace: number,
  { isOurs }: IdSource,
  inside: NamespaceProcess,
): Observable<MapWriter> {
  if (isOurs) return of(inside);
  return withParent(namespace, (above) => openMaps(loop, launcher, above, inside.directory));
}

function withParent<T>(namespace: number, use: (above: number) => Observable<T>): Observable<T> {
  return defer(() => {
    const above = parentNamespace(namespace);
    return defer(() => use(above.number)).pipe(finalize(() => above.close()));
  });
}

function isOurNamespace(fd: number): boolean {
  return namespaceInode(fd) === statSync('/proc/self/ns/user').ino;
}

/** The inode of a namespace, if the registry has it and not one that had the same inode before. */
function holderOf({ registry }: WorkerContext, fd: number): number | undefined {
  const inode = namespaceInode(fd);
  const registered = entrySnapshot(registry, inode);
  if (registered === undefined || isSameNamespace(fd, registered, registry) === false) return undefined;
  return inode;
}

/** For namespaces below ours, which have what we have. */
export function ourIds(): IdSource {
  return { isOurs: true, ids: mappedIds(readIdMap('uid_map'), 'inside'), inside: (_, id) => id };
}

/**
 * For namespaces below another one.
 * @param maps of that one
 */
export function idsOf(maps: IdMaps, holder: number | undefined): IdSource {
  return {
    isOurs: false,
    holder,
    ids: mappedIds(maps.uid_map, 'inside'),
    inside(kind, id) {
      const entry = maps[kind].find(({ outside, count }) => id >= outside && id - outside < count);
      if (entry === undefined) throw systemFailure(ESRCH);
      return entry.inside + id - entry.outside;
    },
  };
}
