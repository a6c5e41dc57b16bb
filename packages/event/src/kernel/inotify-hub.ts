import {
  EPOLLIN,
  IN_ALL_EVENTS,
  IN_DONT_FOLLOW,
  IN_IGNORED,
  IN_MASK_ADD,
  IN_MASK_CREATE,
  IN_ONLYDIR,
  IN_Q_OVERFLOW,
  IN_UNMOUNT,
  Inotify,
  type InotifyRecord,
} from '@sdrx/linux';
import type { Watch } from './kernel.js';
import type { Watcher } from './watcher.js';

type Listener = (record: InotifyRecord) => void;

/** Of a source's mask, what the kernel is asked for: what happens, and how the path is looked up. */
const ASKED = IN_ALL_EVENTS | IN_Q_OVERFLOW | IN_UNMOUNT | IN_IGNORED | IN_ONLYDIR | IN_DONT_FOLLOW;

/**
 * The inotify instance that a loop's sources share, as users may have few: it is there while one of them is.
 *
 * The kernel has one watch for an inode, with one mask and one set of flags, so that the flags of one source would be those of
 * all. IN_ONESHOT is therefore the source's own business, and sources with IN_EXCL_UNLINK have an instance for themselves.
 */
export class InotifyHub {
  /** What all watches have, beside what is asked for. */
  readonly #flags: number;
  readonly #listeners = new Map<number, Set<Listener>>();
  #inotify: Inotify | undefined;
  #watch: Watch | undefined;

  constructor(flags = 0) {
    this.#flags = flags;
  }

  /**
   * Calls `listener` with what happens to an inode. Several listeners of one inode share the kernel's watch, so each gets what
   * any of them asked for.
   * @param mask IN_* events and flags; with IN_MASK_CREATE there must be no other listener of the inode
   * @returns a function that ends the listening
   * @throws what inotify_add_watch(2) fails with
   */
  listen(path: string | Uint8Array, mask: number, watcher: Watcher, listener: Listener): () => void {
    this.#inotify ??= new Inotify();
    const inotify = this.#inotify;
    try {
      this.#watch ??= watcher.watch(inotify.fd, EPOLLIN, () => this.#deliver(inotify));
      const joins = mask & IN_MASK_CREATE || IN_MASK_ADD;
      const id = inotify.add(path, ((mask & ASKED) | this.#flags | joins) >>> 0);
      const listeners = this.#listeners.get(id) ?? new Set();
      this.#listeners.set(id, listeners.add(listener));
      return () => this.#leave(id, listener);
    } catch (error) {
      this.#closeIfUnused();
      throw error;
    }
  }

  #deliver(inotify: Inotify): void {
    for (const record of inotify.read()) {
      // What was lost may have been anybody's.
      const sets = record.mask & IN_Q_OVERFLOW ? this.#listeners.values() : [this.#listeners.get(record.watch) ?? []];
      for (const listeners of sets) for (const listener of listeners) listener(record);
    }
  }

  #leave(id: number, listener: Listener): void {
    const listeners = this.#listeners.get(id);
    listeners?.delete(listener);
    if (listeners === undefined || listeners.size > 0) return;
    this.#listeners.delete(id);
    this.#inotify?.remove(id);
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.#listeners.size > 0) return;
    this.#watch?.[Symbol.dispose]();
    this.#inotify?.[Symbol.dispose]();
    this.#watch = this.#inotify = undefined;
  }
}
