import type { EventLoop } from '@sdrx/event';
import { CAP_SYS_PTRACE, hasCapability } from '@sdrx/linux';
import { map, type Observable, of, switchMap } from 'rxjs';
import { inSlices, type Steps } from '../program/slices.js';
import type { EntrySnapshot } from '../registry/entry-snapshot.js';
import { isDead } from './namespace-identity.js';
import { NamespaceNotes } from './namespace-notes.js';
import { liveUserNamespaces } from './namespace-scan.js';

/** Searches for the user namespaces that are in use; yields wherever it may be interrupted. */
export type NamespaceSearch = () => Steps<ReadonlySet<number>>;

/**
 * Tells whether registered user namespaces still exist, without holding any of them alive.
 *
 * A namespace's inode is given again after its death, but kernels from 6.18 on also give it an id that is not, and can
 * find it by that: the entry has it, or a note. For a namespace without one, all of /proc is searched,
 * in slices; where that can't be done, it counts as alive.
 */
export class NamespaceLiveness {
  readonly #notes: NamespaceNotes;
  readonly #search: NamespaceSearch | null;

  /**
   * @param runtimeDirectory the one that has the registry
   * @param search for namespaces without an id; null to go without, as where the kernel tells of their death
   */
  constructor(
    runtimeDirectory: string,
    search: NamespaceSearch | null = NamespaceLiveness.canSearch() ? liveUserNamespaces : null,
  ) {
    this.#notes = new NamespaceNotes(runtimeDirectory);
    this.#search = search;
  }

  /** Whether this process may look into all others; if not, living namespaces would look dead. capabilities(7) */
  static canSearch(): boolean {
    return hasCapability(CAP_SYS_PTRACE);
  }

  /**
   * Which of the namespaces are dead. Those without an id are when no process, descriptor, mount or other namespace is found
   * to use one with that inode, twice: what is handed on while it is searched for could be overlooked once.
   */
  dead(loop: EventLoop, namespaces: readonly EntrySnapshot[]): Observable<readonly EntrySnapshot[]> {
    return inSlices(loop, () => this.#byId(namespaces)).pipe(
      switchMap(({ dead, unknown }) =>
        this.#unfound(loop, unknown).pipe(
          switchMap((missing) => this.#unfound(loop, missing)),
          map((missing) => [...dead, ...missing]),
        ),
      ),
    );
  }

  *#byId(namespaces: readonly EntrySnapshot[]): Steps<{ dead: EntrySnapshot[]; unknown: EntrySnapshot[] }> {
    const dead: EntrySnapshot[] = [];
    const unknown: EntrySnapshot[] = [];
    for (const namespace of namespaces) {
      const id = namespace.entry?.usernsId ?? this.#notes.id(namespace);
      const state = id === undefined ? undefined : isDead(id, namespace.inode);
      if (state === undefined) unknown.push(namespace);
      else if (state) dead.push(namespace);
      yield;
    }
    return { dead, unknown };
  }

  /** Those that are not found. */
  #unfound(loop: EventLoop, namespaces: readonly EntrySnapshot[]): Observable<readonly EntrySnapshot[]> {
    if (namespaces.length === 0 || this.#search === null) return of([]);
    return inSlices(loop, this.#search).pipe(map((found) => namespaces.filter(({ inode }) => !found.has(inode))));
  }
}
