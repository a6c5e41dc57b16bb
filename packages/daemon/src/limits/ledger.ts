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
import { basename } from 'node:path';
import { isSystemError, MemoryMapping, PROT_READ, PROT_WRITE, reserveSpace } from '@sdrx/linux';

/** What is counted of each user. */
export const COUNTED = ['connections', 'calls', 'helpers'] as const;
export type Counted = (typeof COUNTED)[number];

/** How a worker is: `starting` until it serves, `full` when it can take no connection, `draining` when it is to end. */
export const CONDITIONS = ['starting', 'serving', 'full', 'draining'] as const;
export type Condition = (typeof CONDITIONS)[number];

/** How many workers there may be. */
export const SLOTS = 4096;

/** How many users one worker has room for. */
export const ROWS = 4096;

/** How many barred users are remembered. */
const BARS = 4096;

/** "sdrL", and the number of the format below. */
const MAGIC = 0x4c72_6473;
const VERSION = 1;

/*
 * The file, in words of 32 bits:
 *
 *   header   MAGIC, VERSION, the manager's pid, how many slots may be in use, how many bars were ever made; filled up to 4 KiB
 *   bars     BARS words: users that are barred, 0 for none; a ring, the oldest is overwritten
 *   slots    SLOTS × 16 words: pid, beat, condition, how many rows may be in use, the sums of its rows (connections, calls,
 *            helpers), how many connections it ever accepted; the rest is spare
 *   rows     from the next multiple of 64 KiB on SLOTS × ROWS × 4 words: uid, connections, calls, helpers
 */
const MANAGER = 2;
const USED_SLOTS = 3;
const MADE_BARS = 4;
const BARS_START = 1024;
const SLOTS_START = BARS_START + BARS;
const SLOT_WORDS = 16;
const PID = 0;
const BEAT = 1;
const CONDITION = 2;
const USED_ROWS = 3;
const SUMS = 4;
const ACCEPTED = 7;
const HEAD_SIZE = 4 * (SLOTS_START + SLOTS * SLOT_WORDS);
const ROW_WORDS = 4;
const COUNTS = 1;
/** A multiple of all sizes that a page may have. */
const ROWS_SIZE = 4 * ROWS * ROW_WORDS;
const ROWS_START = Math.ceil(HEAD_SIZE / ROWS_SIZE) * ROWS_SIZE;
const SIZE = ROWS_START + SLOTS * ROWS_SIZE;

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

  /** Removes those of managers that did not come to remove their own. */
  static removeOthers(runtimeDirectory: string): void {
    const folder = `${runtimeDirectory}/nsresource`;
    const own = basename(Ledger.path(runtimeDirectory));
    for (const name of readdirSync(folder)) {
      if (/^ledger(\.|$)/.test(name) && name !== own) rmSync(`${folder}/${name}`, { force: true });
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
    return Atomics.load(this.words, at(slot, PID));
  }

  /** Changes with each sign of life; 0 before the first. */
  beat(slot: number): number {
    return Atomics.load(this.words, at(slot, BEAT));
  }

  condition(slot: number): Condition {
    return CONDITIONS[Atomics.load(this.words, at(slot, CONDITION))] ?? 'starting';
  }

  /** How many connections a worker has accepted so far, modulo 2³². */
  accepted(slot: number): number {
    return Atomics.load(this.words, at(slot, ACCEPTED));
  }

  /** What all workers together have of something. */
  total(what: Counted): number {
    let total = 0;
    for (let slot = 0; slot < this.usedSlots; slot++) {
      if (this.pid(slot) !== 0) total += Atomics.load(this.words, at(slot, SUMS + COUNTED.indexOf(what)));
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
    return Math.min(Atomics.load(this.words, at(slot, USED_ROWS)), ROWS) * ROW_WORDS;
  }

  #clear(slot: number): void {
    // The pid first: without it all that follows counts for nothing. The rows are cleared by the slot's next worker.
    for (let word = PID; word < SLOT_WORDS; word++) Atomics.store(this.words, at(slot, word), 0);
  }

  #setUsed(): void {
    Atomics.store(this.words, USED_SLOTS, this.#end);
  }
}

/**
 * One worker's slot, as that worker writes it.
 *
 * A row belongs to a user from its first count to its last. It gets its uid while all its counts are 0, and it is in use
 * before it counts, so whoever reads in between finds nothing rather than what is another user's.
 */
export class LedgerSlot {
  readonly #words: Int32Array;
  readonly #rows: Int32Array;
  readonly #rowOf = new Map<number, number>();
  /** Rows below the end of the used ones that are nobody's. */
  #free: number[] = [];
  /** The end of the used ones. */
  #end = 0;

  constructor(
    readonly ledger: Ledger,
    readonly slot: number,
    pid: number = process.pid,
  ) {
    this.#words = ledger.words;
    this.#rows = ledger.rows(slot);
    this.#rows.fill(0);
    Atomics.store(this.#words, at(slot, PID), pid);
  }

  /** Gives a sign of life. @param now milliseconds on CLOCK_MONOTONIC */
  beat(now: number): void {
    // Never 0, which is none.
    Atomics.store(this.#words, at(this.slot, BEAT), Math.trunc(now) | 1);
  }

  set condition(condition: Condition) {
    Atomics.store(this.#words, at(this.slot, CONDITION), CONDITIONS.indexOf(condition));
  }

  get condition(): Condition {
    return this.ledger.condition(this.slot);
  }

  /** Adds to the connections that were ever accepted. */
  accepted(count: number): void {
    Atomics.add(this.#words, at(this.slot, ACCEPTED), count);
  }

  /** Counts one more for a user. @returns false when there is no room for another user */
  add(uid: number, what: Counted): boolean {
    const row = this.#rowOf.get(uid) ?? this.#take(uid);
    if (row === undefined) return false;
    const kind = COUNTED.indexOf(what);
    Atomics.add(this.#rows, row + COUNTS + kind, 1);
    Atomics.add(this.#words, at(this.slot, SUMS + kind), 1);
    return true;
  }

  /** Takes back what `add` counted. */
  remove(uid: number, what: Counted): void {
    const row = this.#rowOf.get(uid);
    if (row === undefined) return;
    const kind = COUNTED.indexOf(what);
    Atomics.sub(this.#words, at(this.slot, SUMS + kind), 1);
    Atomics.sub(this.#rows, row + COUNTS + kind, 1);
    if (!this.#isFree(row)) return;
    this.#rowOf.delete(uid);
    this.#giveBack(row);
  }

  #take(uid: number): number | undefined {
    const row = this.#free.pop() ?? this.#end;
    if (row >= this.#rows.length) return undefined;
    Atomics.store(this.#rows, row, uid | 0);
    if (row >= this.#end) this.#setEnd(row + ROW_WORDS);
    this.#rowOf.set(uid, row);
    return row;
  }

  /** The used rows end with one that is somebody's, so that readers have little to look through. */
  #giveBack(row: number): void {
    if (row + ROW_WORDS !== this.#end) {
      this.#free.push(row);
      return;
    }
    let end = row;
    while (end > 0 && this.#isFree(end - ROW_WORDS)) end -= ROW_WORDS;
    this.#setEnd(end);
    this.#free = this.#free.filter((free) => free < end);
  }

  #setEnd(end: number): void {
    this.#end = end;
    Atomics.store(this.#words, at(this.slot, USED_ROWS), end / ROW_WORDS);
  }

  #isFree(row: number): boolean {
    return COUNTED.every((_, kind) => this.#rows[row + COUNTS + kind] === 0);
  }
}

function at(slot: number, word: number): number {
  return SLOTS_START + slot * SLOT_WORDS + word;
}
