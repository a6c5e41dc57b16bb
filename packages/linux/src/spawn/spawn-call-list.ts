import { addressOf, allocate } from '../ffi/libc.js';
import { ARGUMENTS_AT, CALL_WORDS, ERRORS, HEADER_WORDS, RESULT_AT, TABLE_AT } from './spawn-code.js';
import { SYSCALLS, type SyscallName } from './syscall-numbers.js';

/** A system call of a new process. */
export interface SpawnCall {
  readonly name: SyscallName;
  /** Memory stands for its address, another call, an earlier one, for its result. */
  readonly arguments: readonly (number | bigint | Uint8Array | SpawnCall)[];
  /** What it was done to, for the error. */
  readonly subject?: string | undefined;
  /** The error numbers after which the next call is made; by default none: the process ends. */
  readonly tolerates?: ErrorSet;
  /** The address where its result goes, as 64 bits, beside the arguments that it stands for. */
  readonly resultAt?: bigint;
}

/** A set of error numbers, in memory for the machine code: a byte for each number. */
export class ErrorSet {
  readonly #bytes = allocate(ERRORS);
  readonly address = addressOf(this.#bytes);

  /** @param errors `all` for every number */
  constructor(errors: Iterable<number> | 'all') {
    if (errors === 'all') this.#bytes.fill(1);
    else for (const error of errors) this.#bytes[error] = 1;
  }

  has(error: number): boolean {
    return this.#bytes[error] === 1;
  }
}

const NONE = new ErrorSet([]);

/** Where results go that nobody looks at, and the id if nobody wants it. */
const unused = allocate(32);

/** Space for calls beside those that are asked for, lest it is made again soon. */
const SPARE = 32;

/** The memory that the machine code reads, made for one process after the other. The first calls are the same for all. */
export class SpawnCallList {
  readonly #always: readonly SpawnCall[];
  #memory = allocate(0);
  #words: BigInt64Array = new BigInt64Array(0);
  #address = 0n;
  #calls: readonly SpawnCall[] = [];

  /** @param always what every process does first */
  constructor(always: readonly SpawnCall[]) {
    this.#always = always;
  }

  /**
   * Writes the calls. What they name has to last until they are made; the list keeps hold of them.
   * @param report the address of two words
   * @param id the address where the process writes its id in decimal, into memory that is zero
   * @returns the list's address
   */
  write(calls: readonly SpawnCall[], report: bigint, id = addressOf(unused)): bigint {
    this.#calls = calls;
    this.#reserve(this.#always.length + calls.length);
    this.#words[0] = report;
    this.#words[1] = id;
    this.#writeFrom(this.#always.length, calls);
    return this.#address;
  }

  /** The call with this address, as a report names it. */
  at(address: bigint): SpawnCall | undefined {
    const index = (Number(address - this.#address) / 8 - HEADER_WORDS) / CALL_WORDS;
    return index < this.#always.length ? this.#always[index] : this.#calls[index - this.#always.length];
  }

  #reserve(calls: number): void {
    const size = 8 * (HEADER_WORDS + CALL_WORDS * calls);
    if (size <= this.#memory.length) return;
    this.#memory = allocate(size + 8 * CALL_WORDS * SPARE);
    this.#words = new BigInt64Array(this.#memory.buffer, this.#memory.byteOffset, this.#memory.length / 8);
    this.#address = addressOf(this.#memory);
    this.#writeFrom(0, this.#always);
  }

  #writeFrom(first: number, calls: readonly SpawnCall[]): void {
    const words = this.#words;
    const nowhere = addressOf(unused);
    const begin = (index: number) => HEADER_WORDS + CALL_WORDS * (first + index);
    for (const [index, call] of calls.entries()) {
      const at = begin(index);
      words[at] = BigInt(SYSCALLS[call.name]);
      for (let number = 0; number < RESULT_AT - ARGUMENTS_AT; number++) {
        const slot = at + ARGUMENTS_AT + number;
        const argument = call.arguments[number] ?? 0n;
        if (typeof argument === 'bigint') words[slot] = argument;
        else if (typeof argument === 'number') words[slot] = BigInt(argument);
        else if (argument instanceof Uint8Array) words[slot] = addressOf(argument);
        else words[begin(calls.indexOf(argument)) + RESULT_AT] = this.#address + BigInt(8 * slot);
      }
      words[at + RESULT_AT] = call.resultAt ?? nowhere;
      words[at + TABLE_AT] = call.tolerates?.address ?? NONE.address;
    }
  }
}
