import { isSystemError } from '@sdrx/linux';
import { concat, concatMap, defer, EMPTY, from, ignoreElements, last, mergeMap, type Observable, of } from 'rxjs';
import { isSameNamespace } from '../namespace/namespace-identity.js';
import { releaseOne } from '../namespace/release.js';
import { byIdAlone } from '../namespace/releases.js';
import { type EntrySnapshot, entrySnapshot } from '../registry/entry-snapshot.js';
import { locked } from '../registry/locked.js';
import type { Registry } from '../registry/registry.js';
import type { WorkerContext } from '../worker/worker-context.js';
import type { Candidate } from './require-vacancy.js';

/** How long a release by somebody else is waited for, in milliseconds. */
const PATIENCE = 2000;

/**
 * Releases dead namespaces that are in the way of another one: the one that had its inode, the one that has its name. Emits once
 * when that is done, or there is nothing to do. To be used before the registry's lock is taken.
 * @param isUnmapped whether the namespace has no maps
 */
export function makeRoom(
  context: WorkerContext,
  { name, userns }: Candidate,
  fd: number,
  isUnmapped: () => boolean = () => false,
): Observable<void> {
  const { loop, registry } = context;
  // With the lock: who is registering this one just now has written its entry, but not yet its maps.
  const other = (): EntrySnapshot[] => {
    const holder = entrySnapshot(registry, userns);
    if (holder?.entry === undefined) return [];
    const isOther = isSameNamespace(fd, holder, registry) === false;
    return isOther || (holder.entry.range !== undefined && isUnmapped()) ? [holder] : [];
  };
  return concat(
    entrySnapshot(registry, userns) === undefined
      ? EMPTY
      : locked(loop, registry, other).pipe(mergeMap((holders) => releaseAll(context, holders))),
    defer(() => reap(context, holderOf(registry, name))),
    of(undefined),
  ).pipe(last());
}

/** Releases those that are dead of the namespaces that had ids which would have done. Emits once, as `makeRoom`. */
export function makeRoomForIds(context: WorkerContext, obstacles: Iterable<number>): Observable<void> {
  return concat(
    defer(() => reap(context, [...obstacles])),
    of(undefined),
  ).pipe(last());
}

/** Who has the name; nobody has it for good if that can't be read. */
function holderOf(registry: Registry, name: string): number[] {
  try {
    return [registry.byName(name)?.userns].filter((inode) => inode !== undefined);
  } catch (error) {
    if (isSystemError(error, 'EBADMSG')) return [];
    throw error;
  }
}

/**
 * Releases those that are dead. That is known by ids alone: to search all of /proc, as before Linux 6.18, is left to the
 * manager.
 */
export function reap(context: WorkerContext, inodes: readonly number[]): Observable<never> {
  const namespaces = inodes.flatMap((inode) => entrySnapshot(context.registry, inode) ?? []);
  if (namespaces.length === 0) return EMPTY;
  return byIdAlone(context)
    .dead(context.loop, namespaces)
    .pipe(mergeMap((dead) => releaseAll(context, dead)));
}

function releaseAll(context: WorkerContext, namespaces: readonly EntrySnapshot[]): Observable<never> {
  return from(namespaces).pipe(
    concatMap((namespace) => releaseOne(context.loop, namespace, context, PATIENCE)),
    ignoreElements(),
  );
}
