import type { UsernsRestrict } from '@sdrx/bpf';
import { type EventLoop, removeStoredFds } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { bufferCount, catchError, concat, concatMap, defer, finalize, from, mergeMap, type Observable, of } from 'rxjs';
import type { FdStore } from '../manager/fd-store.js';
import { attempt } from '../program/attempt.js';
import type { Log } from '../program/log.js';
import { about, aboutNamespace } from '../program/message-ids.js';
import { inSlices, type Steps } from '../program/slices.js';
import { type EntrySnapshot, isCurrent } from '../registry/entry-snapshot.js';
import { locked } from '../registry/locked.js';
import { isOfOwnId } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';
import { removeCgroup } from './cgroup.js';
import type { NamespaceLiveness } from './namespace-liveness.js';
import { NamespaceNotes } from './namespace-notes.js';
import { deleteNetif } from './netif.js';

/** How many entries are removed while the lock is held once: about 3 ms. */
const ENTRIES_A_LOCK = 8;

/** How often it is looked whether somebody else is done with a release, in milliseconds. */
const CLAIM_RETRY = 5;

/** Where a registered namespace leaves its traces. */
export interface NamespaceTraces {
  readonly registry: Registry;
  /** Undefined where the user namespace interfaces are off. */
  readonly restrict: UsernsRestrict | undefined;
  /** Set where the kernel does not report the death of namespaces. */
  readonly liveness: NamespaceLiveness | undefined;
  /** Set in a manager that is the fd store of a worker program of others. */
  readonly store?: FdStore | undefined;
  readonly log: Log;
}

/**
 * What became of a namespace that was to be released: it is `released`; its entry was `gone`, or another one, before that;
 * somebody else is `busy` with it; it is `kept`, as something that its ids own is left.
 */
export type Outcome = 'released' | 'gone' | 'busy' | 'kept';

export interface Release {
  readonly namespace: EntrySnapshot;
  readonly outcome: Outcome;
}

/**
 * Removes what there is of dead namespaces, each only if its entry is still the one that was found dead: their BPF entries,
 * their descriptors in the fd store, their interfaces, their cgroups; at last their registry entries, so that their names and ids
 * are free again. A step that fails is warned of, and the others are done all the same; an entry whose interfaces or cgroups
 * can't be dealt with stays, and nobody gets its ids.
 *
 * Only the removal of entries needs the registry's lock, which is given back after a few of them. Everything before may take
 * long. It is done in slices, and under a claim: nobody else releases the same namespace, and as long as its entry is there,
 * nobody gets its inode, name or ids. So what is found by these is its own.
 */
export function release(
  loop: EventLoop,
  namespaces: readonly EntrySnapshot[],
  traces: NamespaceTraces,
): Observable<Release> {
  return from(namespaces).pipe(
    bufferCount(ENTRIES_A_LOCK),
    concatMap((some) => releaseSome(loop, some, traces)),
  );
}

/** The same for one, and if somebody else is busy with it, waits for that, at most so many milliseconds. */
export function releaseOne(
  loop: EventLoop,
  namespace: EntrySnapshot,
  traces: NamespaceTraces,
  patience: number,
): Observable<Outcome> {
  return releaseSome(loop, [namespace], traces).pipe(
    mergeMap(({ outcome }) => {
      if (outcome !== 'busy' || patience <= 0) return of(outcome);
      const again = () => releaseOne(loop, namespace, traces, patience - CLAIM_RETRY);
      return loop.time({ after: CLAIM_RETRY, description: 'claim' }).pipe(mergeMap(again));
    }),
  );
}

/** Has the fd store forget what it has of a namespace. */
export function dropKept(inode: number, { store }: NamespaceTraces): void {
  removeStoredFds(`userns-${inode}`);
  store?.remove(inode);
}

function releaseSome(
  loop: EventLoop,
  namespaces: readonly EntrySnapshot[],
  traces: NamespaceTraces,
): Observable<Release> {
  return defer(() => {
    const { registry, log } = traces;
    const claims: Disposable[] = [];
    const known: Release[] = [];
    const current: EntrySnapshot[] = [];
    for (const namespace of namespaces) {
      try {
        const claim = registry.claim(namespace.inode);
        if (claim !== undefined) claims.push(claim);
        if (claim === undefined) known.push({ namespace, outcome: 'busy' });
        else if (isCurrent(registry, namespace)) current.push(namespace);
        else known.push({ namespace, outcome: 'gone' });
      } catch (error) {
        log.warning(
          `releasing user namespace ${namespace.inode}: not begun`,
          error,
          about('releaseFailed', aboutNamespace(namespace)),
        );
        known.push({ namespace, outcome: 'kept' });
      }
    }
    const work =
      current.length === 0
        ? from([])
        : inSlices(loop, () => clearAway(current, traces)).pipe(
            mergeMap((cleared) => locked(loop, registry, () => removeEntries(current, cleared, traces))),
            // What it was done for is done again.
            catchError((error) => {
              log.warning('registry entries of dead user namespaces not removed', error, about('releaseFailed'));
              return of(current.map((namespace): Release => ({ namespace, outcome: 'kept' })));
            }),
            concatMap((releases) => from(releases)),
          );
    return concat(from(known), work).pipe(
      finalize(() => {
        for (const claim of claims) claim[Symbol.dispose]();
      }),
    );
  });
}

/** Everything but the entries. @returns those of which nothing is left that matters */
function* clearAway(namespaces: readonly EntrySnapshot[], traces: NamespaceTraces): Steps<ReadonlySet<EntrySnapshot>> {
  const inodes = namespaces.map(({ inode }) => inode);
  try {
    traces.restrict?.reset(...inodes);
  } catch (error) {
    traces.log.warning(
      `releasing user namespaces ${inodes.join(', ')}: BPF entries not removed`,
      error,
      about('releaseFailed', { USERNS_INODE: inodes }),
    );
  }
  const cleared = new Set<EntrySnapshot>();
  for (const namespace of namespaces) {
    yield;
    tryTwice(namespace.inode, traces, 'fd store not told', () => dropKept(namespace.inode, traces));
    const interfaces = yield* removeInterfaces(namespace, traces);
    const cgroups = yield* removeCgroups(namespace, traces);
    if (interfaces && cgroups) cleared.add(namespace);
  }
  return cleared;
}

/** @returns whether none is left */
function* removeInterfaces({ inode, entry }: EntrySnapshot, { log }: NamespaceTraces): Steps<boolean> {
  let all = true;
  for (const name of entry?.netifs ?? []) {
    if (entry === undefined) continue;
    try {
      yield deleteNetif(entry, name);
    } catch (error) {
      log.warning(
        `releasing user namespace ${inode}: interface ${name} not removed`,
        error,
        about('releaseFailed', aboutNamespace({ inode, entry })),
      );
      all = false;
    }
  }
  return all;
}

/** @returns whether nothing in them is of the dead ids */
function* removeCgroups({ inode, entry }: EntrySnapshot, { log }: NamespaceTraces): Steps<boolean> {
  let all = true;
  const lent = entry === undefined || isOfOwnId(entry) ? undefined : entry.range;
  for (const id of entry?.cgroups ?? []) {
    const what = `releasing user namespace ${inode}: cgroup ${id} not removed`;
    const told = about('releaseFailed', aboutNamespace({ inode, entry }));
    try {
      const removed = yield* removeCgroup(id, lent);
      if (!removed) log.notice(`${what}, as it is in use, but given back to root`, undefined, told);
    } catch (error) {
      // What is no cgroup was never given to anybody.
      const isCgroup = !isSystemError(error, 'ENOTDIR', 'EPERM');
      log.warning(what, error, told);
      if (isCgroup) all = false;
    }
  }
  return all;
}

/** With the registry's lock held. */
function removeEntries(
  namespaces: readonly EntrySnapshot[],
  cleared: ReadonlySet<EntrySnapshot>,
  traces: NamespaceTraces,
): Release[] {
  const { registry, log } = traces;
  const current = new Set(namespaces.filter((namespace) => isCurrent(registry, namespace)));
  const removable = [...current].filter((namespace) => cleared.has(namespace));
  const failures = registry.removeAll(removable.map(({ inode, entry }) => entry ?? inode));
  const released = new Set(removable.filter((namespace) => isRemoved(namespace, failures, traces)));
  for (const namespace of released) {
    const { inode } = namespace;
    // With what is on its way still.
    traces.store?.remove(inode);
    tryTwice(inode, traces, 'notes not removed', () => NamespaceNotes.beside(registry).forget(inode));
    log.debug(`released user namespace ${inode}`, undefined, about('namespaceReleased', aboutNamespace(namespace)));
  }
  return namespaces.map((namespace) => {
    if (!current.has(namespace)) return { namespace, outcome: 'gone' };
    return { namespace, outcome: released.has(namespace) ? 'released' : 'kept' };
  });
}

/** Says what failed. When the entry itself is gone, what is left of it leads to nothing and goes with the next change. */
function isRemoved(
  namespace: EntrySnapshot,
  failures: ReadonlyMap<number, unknown>,
  { registry, log }: NamespaceTraces,
): boolean {
  const { inode } = namespace;
  if (!failures.has(inode)) return true;
  const isLeft = isCurrent(registry, namespace);
  const what = isLeft ? 'registry entry not removed' : 'not all files of its registry entry removed';
  log.warning(
    `releasing user namespace ${inode}: ${what}`,
    failures.get(inode),
    about('releaseFailed', aboutNamespace(namespace)),
  );
  return !isLeft;
}

/** Does one step of several. It is done no more, so a failure that passes gets a second chance; what fails again is said. */
function tryTwice(inode: number, { log }: NamespaceTraces, what: string, step: () => void): void {
  try {
    if (attempt(step).length > 0) step();
  } catch (error) {
    log.warning(`releasing user namespace ${inode}: ${what}`, error, about('releaseFailed', { USERNS_INODE: inode }));
  }
}
