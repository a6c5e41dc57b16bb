import {
  closeSync,
  fstatSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { isSystemError, MemoryMapping, PROT_READ, PROT_WRITE, reserveSpace } from '@sdrx/linux';
import {
  ACCEPTED,
  BARS,
  BARS_START,
  BEAT,
  CONDITION,
  CONDITIONS,
  COUNTED,
  COUNTS,
  type Condition,
  type Counted,
  HEAD_SIZE,
  MADE_BARS,
  MAGIC,
  MANAGER,
  PID,
  ROW_WORDS,
  ROWS,
  ROWS_SIZE,
  ROWS_START,
  SIZE,
  SLOT_WORDS,
  SLOTS,
  SUMS,
  USED_ROWS,
  USED_SLOTS,
  VERSION,
  wordAt,
} from './ledger-format.js';

/**
 * What the workers are doing and what each user has of them, in memory that the manager and its own workers share, the file
 * `nsresource/ledger.<pid>`, by the manager's process id. It is there for signs of life and for limits over all workers.
 *
 * - Every word is written whole, by an atomic store, so that nobody reads half of one. What belongs together is written in
 *   an order that makes each state in between a true one, or a smaller count: see the writers.
 * - A slot has one writer, its worker. The manager writes a slot only before its worker is started and after it was reaped,
 *   so nobody has to lock anything, and who is killed or stopped leaves nobody waiting.
 * - A worker that dies takes nothing back: the manager clears its slot, and from the moment that the pid is 0 it counts for
 *   nothing. The file goes with its manager: the next one makes another, while workers of the former one that have not ended yet go
 *   on with theirs. So a manager that takes over from another one has its own from the beginning.
 * - Space for what is written is reserved before (tmpfs has a limit): a memory mapping can only tell by SIGBUS that there
 *   is none. Rows of slots that were never in use are never looked at: even that would take space.
 */
export class Ledger implements Disposable {
  /** Header, bars and slots. */
  readonly words: Int32Array;
  readonly #fd: number;
  /** What goes with it; undefined for a worker. */
  readonly #path: string | undefined;
  readonly #mappings: MemoryMapping[] = [];
  readonly #rows: (Int32Array | undefined)[] = [];
  readonly #assigned = new Set<number>();
  /** All slots below this one are assigned, … */
  #lowest = 0;
  /** … and none from this one on. */
  #end = 0;
  /** The slots below this one have space for their rows. */
  #reserved = 0;

  /** @param fd is ours from now on */
  private constructor(fd: number, path?: string) {
    this.#fd = fd;
    this.#path = path;
    this.words = this.#map(0, HEAD_SIZE);
  }

  /** Where that of a manager is, by default of this process. */
  static path(runtimeDirectory: string, manager: number = process.pid): string {
    return `${runtimeDirectory}/nsresource/ledger.${manager}`;
  }

  /** Removes those of managers that did not come to remove their own, with what their workers counted for metrics. */
  static removeOthers(runtimeDirectory: string): void {
    const folder = `${runtimeDirectory}/nsresource`;
    const own = [`ledger.${process.pid}`, `metrics.${process.pid}`];
    for (const name of readdirSync(folder)) {
      if (/^(?:ledger|metrics)(\.|$)/.test(name) && !own.includes(name)) rmSync(`${folder}/${name}`, { force: true });
    }
  }

  /** Makes an empty one. Throws ENOSPC, EACCES and the like. */
  static create(runtimeDirectory: string): Ledger {
    const path = Ledger.path(runtimeDirectory);
    const temporary = `${path}.new`;
    mkdirSync(`${runtimeDirectory}/nsresource`, { recursive: true, mode: 0o755 });
    rmSync(temporary, { force: true });
    const fd = openSync(temporary, 'wx+', 0o600);
    try {
      // The rows are a hole until their slot is assigned.
      reserveSpace(fd, 0, ROWS_START);
      ftruncateSync(fd, SIZE);
      const ledger = new Ledger(fd, path);
      ledger.words[0] = MAGIC;
      ledger.words[1] = VERSION;
      ledger.words[MANAGER] = process.pid;
      // It has its name only when it is whole.
      renameSync(temporary, path);
      return ledger;
    } catch (error) {
      closeSync(fd);
      rmSync(temporary, { force: true });
      throw error;
    }
  }

  /** Opens the one that a manager has made; undefined if that one is not there, or of another version. */
  static open(runtimeDirectory: string, manager: number): Ledger | undefined {
    const path = Ledger.path(runtimeDirectory, manager);
    let fd: number;
    try {
      fd = openSync(path, 'r+');
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
    const head = new Int32Array(MANAGER + 1);
    const complete = readSync(fd, head, 0, head.byteLength, 0) === head.byteLength && fstatSync(fd).size === SIZE;
    if (complete && head[0] === MAGIC && head[1] === VERSION && head[MANAGER] === manager) return new Ledger(fd);
    closeSync(fd);
    return undefined;
  }

  /**
   * Picks the slot of a worker that is to be started, the lowest that is free. For the manager.
   * @returns undefined when all are in use. Throws ENOSPC when there is no space for its rows.
   */
  assign(): number | undefined {
    let slot = this.#lowest;
    while (this.#assigned.has(slot)) slot++;
    if (slot >= SLOTS) return undefined;
    if (slot >= this.#reserved) {
      reserveSpace(this.#fd, ROWS_START + slot * ROWS_SIZE, ROWS_SIZE);
      this.#reserved = slot + 1;
    }
    this.#assigned.add(slot);
    this.#lowest = slot + 1;
    this.#end = Math.max(this.#end, slot + 1);
    this.#setUsed();
    return slot;
  }

  /** Takes back all that a worker had. For the manager, when the worker is reaped, or can't run any more. */
  release(slot: number): void {
    this.#clear(slot);
    this.#assigned.delete(slot);
    this.#lowest = Math.min(this.#lowest, slot);
    while (this.#end > 0 && !this.#assigned.has(this.#end - 1)) this.#end--;
    this.#setUsed();
  }

  /** How many slots may be in use: those from this one on are not. */
  get usedSlots(): number {
    return Math.min(Atomics.load(this.words, USED_SLOTS), SLOTS);
  }

  /** Whose slot it is; 0 for nobody's, or one whose worker has not begun. */
  pid(slot: number): number {
    return Atomics.load(this.words, wordAt(slot, PID));
  }

  /** The slots whose workers have begun. */
  get taken(): number[] {
    return Array.from({ length: this.usedSlots }, (_, slot) => slot).filter((slot) => this.pid(slot) !== 0);
  }

  /** How many of them are in each condition. */
  get conditions(): Record<Condition, number> {
    const of = this.taken.map((slot) => this.condition(slot));
    const count = (wanted: Condition) => of.filter((condition) => condition === wanted).length;
    return Object.fromEntries(CONDITIONS.map((condition) => [condition, count(condition)])) as Record<
      Condition,
      number
    >;
  }

  /** Changes with each sign of life; 0 before the first. */
  beat(slot: number): number {
    return Atomics.load(this.words, wordAt(slot, BEAT));
  }

  condition(slot: number): Condition {
    return CONDITIONS[Atomics.load(this.words, wordAt(slot, CONDITION))] ?? 'starting';
  }

  /** How many connections a worker has accepted so far, modulo 2³². */
  accepted(slot: number): number {
    return Atomics.load(this.words, wordAt(slot, ACCEPTED)) >>> 0;
  }

  /** What all workers together have of something. */
  total(what: Counted): number {
    let total = 0;
    for (let slot = 0; slot < this.usedSlots; slot++) {
      if (this.pid(slot) !== 0) total += Atomics.load(this.words, wordAt(slot, SUMS + COUNTED.indexOf(what)));
    }
    return total;
  }

  /** What a user has of something in all workers together. */
  of(uid: number, what: Counted): number {
    const column = COUNTS + COUNTED.indexOf(what);
    const wanted = uid | 0;
    let total = 0;
    for (let slot = 0; slot < this.usedSlots; slot++) {
      if (this.pid(slot) === 0) continue;
      const rows = this.rows(slot);
      for (let row = 0, end = this.#endOfRows(slot); row < end; row += ROW_WORDS) {
        if (rows[row] !== wanted) continue;
        const count = Atomics.load(rows, row + column);
        // The row may have become another user's meanwhile.
        if (count > 0 && Atomics.load(rows, row) === wanted) total += count;
      }
    }
    return total;
  }

  /** What each user has of something in all workers together; those who have none are left out. */
  byUser(what: Counted): Map<number, number> {
    const column = COUNTS + COUNTED.indexOf(what);
    const users = new Map<number, number>();
    for (let slot = 0; slot < this.usedSlots; slot++) {
      if (this.pid(slot) === 0) continue;
      const rows = this.rows(slot);
      for (let row = 0, end = this.#endOfRows(slot); row < end; row += ROW_WORDS) {
        const uid = Atomics.load(rows, row) >>> 0;
        const count = Atomics.load(rows, row + column);
        if (count > 0) users.set(uid, (users.get(uid) ?? 0) + count);
      }
    }
    return users;
  }

  /** Who is barred. */
  barred(): number[] {
    const made = Atomics.load(this.words, MADE_BARS) >>> 0;
    const bars = this.words.subarray(BARS_START, BARS_START + Math.min(made, BARS));
    return Array.from(bars, (uid) => uid >>> 0).filter((uid) => uid !== 0);
  }

  /** Whether a user is barred. */
  isBarred(uid: number): boolean {
    const made = Atomics.load(this.words, MADE_BARS) >>> 0;
    const end = BARS_START + Math.min(made, BARS);
    for (let bar = BARS_START; bar < end; bar++) if (Atomics.load(this.words, bar) === (uid | 0)) return uid !== 0;
    return false;
  }

  /** Bars a user, for as long as the manager lives. Root is never barred: its processes act for others. */
  bar(uid: number): void {
    if (uid === 0 || this.isBarred(uid)) return;
    // Each has a place of its own, also if two come at once; who is killed in between leaves a 0, which is nobody.
    const place = (Atomics.add(this.words, MADE_BARS, 1) >>> 0) % BARS;
    Atomics.store(this.words, BARS_START + place, uid | 0);
  }

  /** The rows of a slot that is, or was, in use: to look at those of another takes space that may not be there. */
  rows(slot: number): Int32Array {
    this.#rows[slot] ??= this.#map(ROWS_START + slot * ROWS_SIZE, ROWS_SIZE);
    return this.#rows[slot];
  }

  [Symbol.dispose](): void {
    for (const mapping of this.#mappings.splice(0)) mapping[Symbol.dispose]();
    closeSync(this.#fd);
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }

  #map(offset: number, size: number): Int32Array {
    const mapping = new MemoryMapping(this.#fd, offset, size, PROT_READ | PROT_WRITE, 'ledger');
    this.#mappings.push(mapping);
    return new Int32Array(mapping.bytes);
  }

  #endOfRows(slot: number): number {
    return Math.min(Atomics.load(this.words, wordAt(slot, USED_ROWS)), ROWS) * ROW_WORDS;
  }

  #clear(slot: number): void {
    // The pid first: without it all that follows counts for nothing. The rows are cleared by the slot's next worker.
    for (let word = PID; word < SLOT_WORDS; word++) Atomics.store(this.words, wordAt(slot, word), 0);
  }

  #setUsed(): void {
    Atomics.store(this.words, USED_SLOTS, this.#end);
  }
}
