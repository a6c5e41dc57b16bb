import { type BigIntStats, closeSync, constants, fstatSync, openSync, readFileSync, statSync } from 'node:fs';
import { isSystemError } from '@sdrx/linux';

/** What is no file, as a FIFO, is not waited for. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK;

/** What a file of the system's says. It is read again only when it has become another one. */
export class ParsedFile<T> {
  readonly #path: string;
  readonly #parse: (text: string) => T;
  #identity: string | undefined;
  #value: T;

  /** @param parse must take any text; an empty one stands for a file that is not there */
  constructor(path: string, parse: (text: string) => T) {
    this.#path = path;
    this.#parse = parse;
    this.#value = parse('');
  }

  /** What it says now, the same value for as long as the file is the same. What can't be read says what it said before. */
  get value(): T {
    try {
      const identity = identityOf(statSync(this.#path, { bigint: true, throwIfNoEntry: false }));
      if (identity !== this.#identity) this.#read();
    } catch (error) {
      if (!isSystemError(error)) throw error;
    }
    return this.#value;
  }

  #read(): void {
    let fd: number;
    try {
      fd = openSync(this.#path, READ);
    } catch (error) {
      if (!isSystemError(error, 'ENOENT')) throw error;
      this.#set(undefined, '');
      return;
    }
    try {
      const status = fstatSync(fd, { bigint: true });
      this.#set(identityOf(status), status.isFile() ? readFileSync(fd, 'utf8') : '');
    } finally {
      closeSync(fd);
    }
  }

  #set(identity: string | undefined, text: string): void {
    this.#value = this.#parse(text);
    this.#identity = identity;
  }
}

/** A file that was written anew differs in one of these. */
function identityOf(status: BigIntStats | undefined): string | undefined {
  return status && [status.dev, status.ino, status.size, status.mtimeNs, status.ctimeNs].join(' ');
}
