import type { Ledger } from './ledger.js';
import {
  ACCEPTED,
  BEAT,
  CONDITION,
  CONDITIONS,
  COUNTED,
  COUNTS,
  type Condition,
  type Counted,
  PID,
  ROW_WORDS,
  SUMS,
  USED_ROWS,
  wordAt,
} from './ledger-format.js';

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
    Atomics.store(this.#words, wordAt(slot, PID), pid);
  }

  /** Gives a sign of life. @param now milliseconds on CLOCK_MONOTONIC */
  beat(now: number): void {
    // Never 0, which is none.
    Atomics.store(this.#words, wordAt(this.slot, BEAT), Math.trunc(now) | 1);
  }

  set condition(condition: Condition) {
    Atomics.store(this.#words, wordAt(this.slot, CONDITION), CONDITIONS.indexOf(condition));
  }

  get condition(): Condition {
    return this.ledger.condition(this.slot);
  }

  /** Adds to the connections that were ever accepted. */
  accepted(count: number): void {
    Atomics.add(this.#words, wordAt(this.slot, ACCEPTED), count);
  }

  /** Counts one more for a user. @returns false when there is no room for another user */
  add(uid: number, what: Counted): boolean {
    const row = this.#rowOf.get(uid) ?? this.#take(uid);
    if (row === undefined) return false;
    const kind = COUNTED.indexOf(what);
    Atomics.add(this.#rows, row + COUNTS + kind, 1);
    Atomics.add(this.#words, wordAt(this.slot, SUMS + kind), 1);
    return true;
  }

  /** Takes back what `add` counted. */
  remove(uid: number, what: Counted): void {
    const row = this.#rowOf.get(uid);
    if (row === undefined) return;
    const kind = COUNTED.indexOf(what);
    Atomics.sub(this.#words, wordAt(this.slot, SUMS + kind), 1);
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
    Atomics.store(this.#words, wordAt(this.slot, USED_ROWS), end / ROW_WORDS);
  }

  #isFree(row: number): boolean {
    return COUNTED.every((_, kind) => this.#rows[row + COUNTS + kind] === 0);
  }
}
