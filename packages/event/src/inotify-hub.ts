import { EPOLLIN, IN_MASK_ADD, IN_Q_OVERFLOW, Inotify, type InotifyRecord } from '@sdrx/linux';
import type { Watch, Watcher } from './watcher.js';

type Listener = (record: InotifyRecord) => void;

/** The inotify instance that a loop's sources share, as users may have few: it is there while one of them is. */
export class InotifyHub {
  readonly #listeners = new Map<number, Set<Listener>>();
  #inotify: Inotify | undefined;
  #watch: Watch | undefined;

  /**
   * Calls `listener` with what happens to an inode. Several listeners of one inode share the kernel's watch, so each gets
   * what any of them asked for.
   * @returns a function that ends the listening
   * Throws what inotify_add_watch(2) fails with.
   */
  listen(path: string, mask: number, watcher: Watcher, listener: Listener): () => void {
    this.#inotify ??= new Inotify();
    const inotify = this.#inotify;
    try {
      this.#watch ??= watcher.watch(inotify.fd, EPOLLIN, () => this.#deliver(inotify));
      const id = inotify.add(path, (mask | IN_MASK_ADD) >>> 0);
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
