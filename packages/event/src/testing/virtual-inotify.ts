import { IN_IGNORED, IN_Q_OVERFLOW, type InotifyRecord } from '@sdrx/linux';
import type { ReadyList, Telling } from './ready-list.js';

/** How many events wait at most: fs.inotify.max_queued_events, as long as nobody changes it. */
const MOST_QUEUED = 16_384;

/** Comes unasked. */
const ALWAYS = IN_IGNORED | IN_Q_OVERFLOW;

type Listener = (record: InotifyRecord) => void;

/** What happens to a file. */
export type FileRecord = Omit<InotifyRecord, 'watch'>;

/** One watch of a file, which all share who listen to it. */
interface Watch {
  readonly listeners: Set<Listener>;
  /** What any of them asked for: it does not become less before the last one leaves. */
  mask: number;
}

/** An inotify instance, with its queue. */
export class VirtualInotify<File> implements Telling {
  readonly #list: ReadyList;
  readonly #watches = new Map<File, Watch>();
  /** How many listen, to whatever it is. */
  #listening = 0;
  #queue: { readonly watch: Watch | 'all'; readonly record: FileRecord }[] = [];

  constructor(list: ReadyList) {
    this.#list = list;
  }

  watches(file: File): boolean {
    return this.#watches.has(file);
  }

  listen(file: File, mask: number, listener: Listener): () => void {
    const watch = this.#watches.get(file) ?? { listeners: new Set(), mask: 0 };
    this.#watches.set(file, watch);
    watch.listeners.add(listener);
    watch.mask |= mask;
    this.#listening++;
    return () => {
      if (!watch.listeners.delete(listener)) return;
      if (--this.#listening === 0) this.#close();
      else if (watch.listeners.size === 0 && this.#watches.get(file) === watch) this.#remove(file);
    };
  }

  /** Something happens to a file. */
  happen(file: File, record: FileRecord): void {
    const watch = this.#watches.get(file);
    if (watch === undefined || (record.mask & (watch.mask | ALWAYS)) === 0) return;
    const isGone = (record.mask & IN_IGNORED) !== 0;
    if (isGone) this.#watches.delete(file);
    const last = this.#queue.at(-1);
    // Of equal events that follow each other there is one.
    if (!isGone && last?.watch === watch && last.record.mask === record.mask && last.record.name === record.name)
      return;
    if (this.#queue.length < MOST_QUEUED) this.#add(watch, record);
    else this.overflow();
  }

  /** Events are lost. */
  overflow(): void {
    if (this.#watches.size === 0 || this.#queue.at(-1)?.watch === 'all') return;
    this.#add('all', { mask: IN_Q_OVERFLOW, cookie: 0, name: '' });
  }

  tell(): boolean {
    const queue = this.#queue;
    this.#queue = [];
    for (const { watch, record } of queue) {
      // What was lost may have been anybody's.
      const watches = watch === 'all' ? this.#watches.values() : [watch];
      for (const { listeners } of watches) for (const listener of listeners) listener({ watch: 1, ...record });
    }
    return false;
  }

  /** inotify_rm_watch(2). Who watches the file next has a watch of its own, and hears nothing of what was before. */
  #remove(file: File): void {
    // Nobody hears of it, but it stands in the queue, between what else would be one.
    this.happen(file, { mask: IN_IGNORED, cookie: 0, name: '' });
  }

  /** As the loop does with an instance that nobody needs: what is in its queue is gone. */
  #close(): void {
    this.#watches.clear();
    this.#queue = [];
    this.#list.delete(this);
  }

  #add(watch: Watch | 'all', record: FileRecord): void {
    this.#queue.push({ watch, record });
    this.#list.add(this);
  }
}
