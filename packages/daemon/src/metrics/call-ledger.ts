import { closeSync, fstatSync, ftruncateSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { isSystemError, MemoryMapping, PROT_READ, PROT_WRITE, reserveSpace } from '@sdrx/linux';
import { SLOTS } from '../limits/ledger-format.js';
import { COUNTED_WORDS } from './call-counts.js';

/** "sdrx metrics" and the number of this format: what is counted where. */
const MAGIC = Buffer.from(`sdrx metrics 1 ${COUNTED_WORDS}\n`);

/** Of a slot, in bytes: more than is counted, so that no two share a line of the processor's cache. */
const SLOT_SIZE = 4096;
const HEAD_SIZE = 4096;
const SIZE = HEAD_SIZE + SLOTS * SLOT_SIZE;

/** A counter that a worker writes. */
export interface Counter {
  /** Adds to one of the words. */
  add(word: number, count: number): void;
}

/**
 * What workers count for `--metrics`, in memory that they share with their manager: the file `nsresource/metrics.<pid>` beside the
 * `Ledger`, with the same slots. It is there only if metrics are wanted, so that nothing is counted otherwise.
 *
 * A slot has one writer, its worker. When that is gone the manager adds what it has counted to what all before it have, and clears the
 * slot for the next one.
 */
export class CallLedger implements Disposable {
  readonly #fd: number;
  readonly #path: string | undefined;
  readonly #mapping: MemoryMapping;
  readonly #words: BigInt64Array;
  /** Of workers that are gone. */
  readonly #kept = new Array<number>(COUNTED_WORDS).fill(0);
  readonly #used = new Set<number>();

  /** @param fd is ours from now on */
  private constructor(fd: number, path?: string) {
    this.#fd = fd;
    this.#path = path;
    this.#mapping = new MemoryMapping(fd, 0, SIZE, PROT_READ | PROT_WRITE, 'metrics');
    this.#words = new BigInt64Array(this.#mapping.bytes);
  }

  /** Where that of a manager is. */
  static path(runtimeDirectory: string, manager: number = process.pid): string {
    return `${runtimeDirectory}/nsresource/metrics.${manager}`;
  }

  /** Makes an empty one. Throws ENOSPC, EACCES and the like. */
  static create(runtimeDirectory: string): CallLedger {
    const path = CallLedger.path(runtimeDirectory);
    rmSync(path, { force: true });
    const fd = openSync(path, 'wx+', 0o600);
    try {
      reserveSpace(fd, 0, HEAD_SIZE);
      ftruncateSync(fd, SIZE);
      writeSync(fd, MAGIC, 0, MAGIC.length, 0);
      return new CallLedger(fd, path);
    } catch (error) {
      closeSync(fd);
      rmSync(path, { force: true });
      throw error;
    }
  }

  /** Opens that of a worker's manager; undefined if there is none, or one of another release. @returns what counts in the slot */
  static open(runtimeDirectory: string, manager: number, slot: number): (Counter & Disposable) | undefined {
    let fd: number;
    try {
      fd = openSync(CallLedger.path(runtimeDirectory, manager), 'r+');
    } catch (error) {
      if (isSystemError(error, 'ENOENT')) return undefined;
      throw error;
    }
    const magic = Buffer.alloc(MAGIC.length);
    const isKnown = fstatSync(fd).size === SIZE && readSync(fd, magic, 0, magic.length, 0) === magic.length;
    if (!isKnown || !magic.equals(MAGIC)) {
      closeSync(fd);
      return undefined;
    }
    const ledger = new CallLedger(fd);
    const start = wordOf(slot);
    return {
      add: (word, count) => Atomics.add(ledger.#words, start + word, BigInt(count)),
      [Symbol.dispose]: () => ledger[Symbol.dispose](),
    };
  }

  /** Has a slot be there for a worker that is to be started. Throws ENOSPC. */
  prepare(slot: number): void {
    if (this.#used.has(slot)) return;
    reserveSpace(this.#fd, HEAD_SIZE + slot * SLOT_SIZE, SLOT_SIZE);
    this.#used.add(slot);
  }

  /** Keeps what the worker of a slot has counted, which is gone. */
  keep(slot: number): void {
    if (!this.#used.has(slot)) return;
    const start = wordOf(slot);
    for (let word = 0; word < COUNTED_WORDS; word++) {
      const count = Number(Atomics.exchange(this.#words, start + word, 0n));
      this.#kept[word] = (this.#kept[word] ?? 0) + count;
    }
  }

  /** What all workers have counted that there ever were, word by word. */
  totals(): number[] {
    const totals = [...this.#kept];
    for (const slot of this.#used) {
      const start = wordOf(slot);
      for (let word = 0; word < COUNTED_WORDS; word++) {
        totals[word] = (totals[word] ?? 0) + Number(Atomics.load(this.#words, start + word));
      }
    }
    return totals;
  }

  [Symbol.dispose](): void {
    this.#mapping[Symbol.dispose]();
    closeSync(this.#fd);
    if (this.#path !== undefined) rmSync(this.#path, { force: true });
  }
}

function wordOf(slot: number): number {
  return (HEAD_SIZE + slot * SLOT_SIZE) / 8;
}
