import type { UsernsRestrict } from '@sdrx/bpf';
import { notify } from '@sdrx/event';
import { removeCgroup } from './cgroup.js';
import type { FdStore } from './fd-store.js';
import type { Log } from './log.js';
import type { NamespaceLiveness } from './namespace-liveness.js';
import type { Registry } from './registry.js';

/** Where a registered namespace leaves its traces. */
export interface NamespaceTraces {
  readonly registry: Registry;
  /** Undefined where the user namespace interfaces are off. */
  readonly restrict: UsernsRestrict | undefined;
  /** Set where the kernel does not report the death of namespaces. */
  readonly liveness: NamespaceLiveness | undefined;
  /** Set in a manager that is the fd store itself. */
  readonly store?: FdStore | undefined;
  readonly log: Log;
}

/**
 * Removes what there is of namespaces: their BPF entries, their descriptors in the fd store, their cgroups, their registry
 * entries, so that their names and ids are free again. A step that fails is warned of, and the others are done all the
 * same.
 */
export function releaseNamespaces(inodes: readonly number[], traces: NamespaceTraces): void {
  const { registry, restrict, log } = traces;
  using _lock = registry.lock();
  try {
    restrict?.reset(...inodes);
  } catch (error) {
    log.warning(`releasing user namespaces ${inodes.join(', ')}: BPF entries not removed`, error);
  }
  for (const inode of inodes) releaseRest(inode, traces);
}

/** The same for one. */
export function releaseNamespace(inode: number, traces: NamespaceTraces): void {
  releaseNamespaces([inode], traces);
}

/** All of it but the BPF entry. */
function releaseRest(inode: number, traces: NamespaceTraces): void {
  const { registry, liveness, log } = traces;
  const attempt = (what: string, step: () => void): void => {
    try {
      step();
    } catch (error) {
      log.warning(`releasing user namespace ${inode}: ${what}`, error);
    }
  };
  attempt('fd store not told', () => dropKept(inode, traces));
  attempt('cgroups not removed', () => {
    for (const id of registry.byInode(inode)?.cgroups ?? [])
      attempt(`cgroup ${id} not removed`, () => removeCgroup(id));
  });
  attempt('registry entry not removed', () => registry.remove(inode));
  attempt('id not forgotten', () => liveness?.forget(inode));
  log.debug(`released user namespace ${inode}`);
}

/** Has the fd store forget what it has of a namespace. */
function dropKept(inode: number, { store }: NamespaceTraces): void {
  notify({ FDSTOREREMOVE: 1, FDNAME: `userns-${inode}` });
  store?.remove(inode);
}

/**
 * Where death is found by looking: gives up the mounts of namespaces that nobody else is found to use, as one may be all
 * that holds its namespace alive. Should somebody use it all the same, nothing is lost: no one enforces anything there.
 */
export function dropForsaken(traces: NamespaceTraces): void {
  const { registry, liveness } = traces;
  for (const inode of liveness?.forsaken() ?? []) {
    using _lock = registry.lock();
    dropKept(inode, traces);
    liveness?.trust(inode);
  }
}

/**
 * Releases those of the namespaces that are dead indeed: where death is found by looking, a new namespace may have got
 * the inode of a dead one, and been registered, since one looked.
 */
export function releaseDead(inodes: readonly number[], traces: NamespaceTraces): void {
  using _lock = traces.registry.lock();
  releaseNamespaces(traces.liveness?.dead(inodes) ?? inodes, traces);
}

/** Releases all registered namespaces that are found to be dead, where that can be found out. */
export function sweep(traces: NamespaceTraces): void {
  if (traces.liveness !== undefined) releaseDead(traces.liveness.dead(traces.registry.inodes()), traces);
}
