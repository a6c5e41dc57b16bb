import { join } from 'node:path';
import type { EventLoop } from '@sdrx/event';
import {
  catchError,
  concat,
  defer,
  EMPTY,
  exhaustMap,
  finalize,
  ignoreElements,
  map,
  merge,
  mergeMap,
  type Observable,
  of,
  repeat,
  Subject,
  startWith,
  switchMap,
  take,
  tap,
} from 'rxjs';
import { about, aboutNamespace } from '../program/message-ids.js';
import { inSlices, type Steps } from '../program/slices.js';
import { type EntrySnapshot, entrySnapshot, isCurrent, registeredInodes } from '../registry/entry-snapshot.js';
import { locked } from '../registry/locked.js';
import { isDead } from './namespace-identity.js';
import { NamespaceLiveness } from './namespace-liveness.js';
import { NamespaceNotes } from './namespace-notes.js';
import { dropKept, type NamespaceTraces, type Release, release } from './release.js';

/** How many namespaces are taken from the queue at a time. */
const BATCH = 64;

/** How long it takes until a failed release is tried again: at first, and at most, in milliseconds. It doubles each time. */
const RETRY_FIRST = 1000;
const RETRY_LONGEST = 60_000;

/** How often a release is tried. After that it waits for the next start of the daemon. */
const TRIES = 10;

/** Each so many sweeps it is looked whether there are notes of what is not registered: one that is killed leaves few. */
const PRUNE_EVERY = 15;

/**
 * The manager's queue of namespaces to be released. Whoever finds that one died adds it, and goes on; the queue is worked through
 * while `run` is subscribed to, beside everything else.
 */
export class Releases {
  readonly #loop: EventLoop;
  readonly #traces: NamespaceTraces;
  readonly #notes: NamespaceNotes;
  /** By inode; in the order in which they came. */
  readonly #waiting = new Map<number, EntrySnapshot>();
  /** Inodes without an entry, of which others may still know something. */
  readonly #strays = new Set<number>();
  /** How often a release was tried in vain, by the entry's file. */
  readonly #tries = new Map<string, number>();
  /** The ids of those that were alive at the last sweep, by inode: they are all that need be looked at. */
  readonly #alive = new Map<number, bigint>();
  #sweeps = 0;
  readonly #added = new Subject<void>();
  readonly #idle = new Subject<void>();
  #working = false;
  readonly #failed = new Subject<Release>();
  /** Inodes of dead ones whose entry could not be looked at. */
  readonly #unread = new Subject<number>();

  /** How many were released, and how often that failed. */
  readonly counts = { released: 0, failed: 0 };

  constructor(loop: EventLoop, traces: NamespaceTraces) {
    this.#loop = loop;
    this.#traces = traces;
    this.#notes = NamespaceNotes.beside(traces.registry);
  }

  /** How many wait to be released. */
  get waiting(): number {
    return this.#waiting.size;
  }

  /** Adds namespaces that were found dead. */
  add(namespaces: readonly EntrySnapshot[]): void {
    // One that failed has its own time.
    for (const namespace of namespaces)
      if (!this.#tries.has(namespace.file)) this.#waiting.set(namespace.inode, namespace);
    this.#added.next();
  }

  /**
   * Adds namespaces of whose death the kernel has told, which it does only once: that is noted before this returns. One
   * whose inode has been given to another namespace since is left alone, where that can be known.
   */
  addDead(inodes: readonly number[]): void {
    const { registry, log } = this.#traces;
    const dead: EntrySnapshot[] = [];
    for (const inode of inodes) {
      try {
        const namespace = entrySnapshot(registry, inode);
        if (namespace === undefined) this.#strays.add(inode);
        else if (this.#isDead(namespace)) dead.push(namespace);
      } catch (error) {
        log.warning(`user namespace ${inode} died, its entry is looked at again`, error);
        this.#unread.next(inode);
      }
    }
    this.add(dead);
  }

  /** Whether one is dead of which that was told, which is noted. */
  #isDead(namespace: EntrySnapshot): boolean {
    const { inode, entry, file } = namespace;
    const id = entry?.usernsId ?? this.#notes.id(namespace);
    if (id !== undefined && isDead(id, inode) === false) return false;
    try {
      // By its id the next daemon would find it anyway.
      if (id === undefined) this.#notes.died(inode, file);
    } catch (error) {
      this.#traces.log.warning(`death of user namespace ${inode} not noted`, error);
    }
    return true;
  }

  /** Adds inodes of namespaces that somebody else still knows something of; registered ones are left alone. */
  addStrays(inodes: readonly number[]): void {
    for (const inode of inodes) this.#strays.add(inode);
    this.#added.next();
  }

  /** Looks for registered namespaces that are dead by now, and adds them; emits once, when that is done. */
  sweep(): Observable<void> {
    const liveness = this.#traces.liveness ?? byIdAlone(this.#traces);
    return inSlices(this.#loop, () => this.#look()).pipe(
      switchMap(({ told, unknown }) =>
        liveness.dead(this.#loop, unknown).pipe(
          tap((dead) => this.#remember(unknown, dead)),
          map((dead) => this.add([...told, ...dead])),
        ),
      ),
    );
  }

  /** Those of whose death one was told before, and those of whom more must be asked than whether their id is alive still. */
  *#look(): Steps<{ told: EntrySnapshot[]; unknown: EntrySnapshot[] }> {
    const { registry, log } = this.#traces;
    const noted = this.#notes.deaths();
    const told: EntrySnapshot[] = [];
    const unknown: EntrySnapshot[] = [];
    const inodes = new Set<number>();
    for (const inode of registeredInodes(registry)) {
      yield;
      if (inode === undefined) continue;
      inodes.add(inode);
      try {
        const id = this.#alive.get(inode);
        if (id !== undefined && isDead(id, inode) === false) continue;
        const namespace = entrySnapshot(registry, inode);
        if (namespace !== undefined) (noted.get(inode) === namespace.file ? told : unknown).push(namespace);
      } catch (error) {
        // The others must not wait for this one.
        log.warning(`user namespace ${inode} can't be looked at`, error);
      }
    }
    for (const inode of this.#alive.keys()) if (!inodes.has(inode)) this.#alive.delete(inode);
    if (this.#sweeps++ % PRUNE_EVERY === 0) this.#prune(inodes);
    return { told, unknown };
  }

  /** The next time one need not read the entries of those that are alive. */
  #remember(namespaces: readonly EntrySnapshot[], dead: readonly EntrySnapshot[]): void {
    const found = new Set(dead);
    for (const namespace of namespaces) {
      const id = found.has(namespace) ? undefined : (namespace.entry?.usernsId ?? this.#notes.id(namespace));
      if (id === undefined) this.#alive.delete(namespace.inode);
      else this.#alive.set(namespace.inode, id);
    }
  }

  /** Removes notes that a killed process left behind, as soon as the lock can be had. */
  #prune(inodes: ReadonlySet<number>): void {
    const { registry, log } = this.#traces;
    if (!this.#notes.hasOthers(inodes)) return;
    locked(this.#loop, registry, () => this.#notes.prune(registry.inodes())).subscribe({
      error: (error) => log.warning('notes of namespaces not cleared', error),
    });
  }

  /** Works through the queue while subscribed. */
  run(): Observable<never> {
    return merge(
      this.#added.pipe(
        startWith(undefined),
        exhaustMap(() => this.#drain()),
      ),
      this.#failed.pipe(mergeMap((failed) => this.#later(failed))),
      this.#unread.pipe(mergeMap((inode) => this.#after(RETRY_FIRST).pipe(tap(() => this.addDead([inode]))))),
    ).pipe(ignoreElements());
  }

  /** Emits once when nothing waits to be released; what failed is waited for no longer. Needs `run`. */
  settled(): Observable<void> {
    return defer(() => (this.#working || this.#isLeft() ? this.#idle.pipe(take(1)) : of(undefined)));
  }

  #isLeft(): boolean {
    return this.#waiting.size + this.#strays.size > 0;
  }

  #drain(): Observable<Release> {
    return defer(() => {
      this.#working = true;
      return concat(this.#forgetStrays(), release(this.#loop, this.#next(), this.#traces));
    }).pipe(
      tap((released) => this.#settle(released)),
      repeat({ delay: () => (this.#isLeft() ? this.#loop.defer() : EMPTY) }),
      finalize(() => {
        this.#working = false;
        this.#idle.next();
      }),
    );
  }

  #next(): EntrySnapshot[] {
    const some = [...this.#waiting.values()].slice(0, BATCH);
    for (const { inode } of some) this.#waiting.delete(inode);
    return some;
  }

  #settle(released: Release): void {
    const { namespace, outcome } = released;
    if (outcome === 'released') this.counts.released++;
    else if (outcome === 'kept') this.counts.failed++;
    if (outcome === 'released' || outcome === 'gone') this.#tries.delete(namespace.file);
    else this.#failed.next(released);
  }

  #later({ namespace }: Release): Observable<unknown> {
    const { log, registry } = this.#traces;
    const tries = (this.#tries.get(namespace.file) ?? 0) + 1;
    this.#tries.set(namespace.file, tries);
    if (tries >= TRIES) {
      log.warning(
        `user namespace ${namespace.inode} could not be released, its ids are not given to another one`,
        undefined,
        about('namespaceKept', aboutNamespace(namespace)),
      );
      return EMPTY;
    }
    const after = Math.min(RETRY_FIRST * 2 ** (tries - 1), RETRY_LONGEST);
    return this.#after(after).pipe(
      tap(() => {
        if (isCurrent(registry, namespace)) this.#waiting.set(namespace.inode, namespace);
        else this.#tries.delete(namespace.file);
        this.#added.next();
      }),
    );
  }

  #after(after: number): Observable<unknown> {
    return this.#loop.time({ after, accuracy: RETRY_FIRST / 4, description: 'release again' });
  }

  /** What is left elsewhere of namespaces that are not registered. */
  #forgetStrays(): Observable<never> {
    const inodes = [...this.#strays].slice(0, BATCH);
    for (const inode of inodes) this.#strays.delete(inode);
    if (inodes.length === 0) return EMPTY;
    const { registry, restrict, log } = this.#traces;
    // With the lock, so that nobody registers one with such an inode meanwhile.
    const reset = () => {
      try {
        const strays = inodes.filter((inode) => entrySnapshot(registry, inode) === undefined);
        if (strays.length > 0) restrict?.reset(...strays);
      } catch (error) {
        log.warning(`BPF entries of user namespaces ${inodes.join(', ')} not removed`, error);
      }
    };
    return locked(this.#loop, registry, reset).pipe(
      tap(() => {
        for (const inode of inodes) if (entrySnapshot(registry, inode) === undefined) this.#drop(inode);
      }),
      // What else waits to be released must not be lost for that.
      catchError((error) => {
        log.warning(`what is known of user namespaces ${inodes.join(', ')} not forgotten`, error);
        return EMPTY;
      }),
      ignoreElements(),
    );
  }

  #drop(inode: number): void {
    try {
      dropKept(inode, this.#traces);
    } catch (error) {
      this.#traces.log.warning(`fd store not told to forget user namespace ${inode}`, error);
    }
  }
}

/** Tells death by ids alone, for where the kernel tells of it: it does not of what died while no daemon ran. */
export function byIdAlone({ registry }: Pick<NamespaceTraces, 'registry'>): NamespaceLiveness {
  return new NamespaceLiveness(join(registry.directory, '../..'), null);
}
