import { NO_TEXT } from './text.js';
import { ProtocolError } from './varlink-error.js';

const MOST = Number.MAX_SAFE_INTEGER;
const NUMBER = /-?\d+([.eE][\d.eE+-]*)?/y;
const LITERAL = /true|false|null/y;
const WHITESPACE = /[ \t\n\r]*/y;

/** A message that was read. */
export interface ReadJson {
  readonly value: unknown;
  /** A key that an object within the outermost one has twice. */
  readonly twice: string | undefined;
}

/**
 * Reads JSON without a change that nobody is told of. JSON.parse rounds large integers, makes Infinity of 1e999, and drops all
 * but the last of several values of one key. An integer of 64 bits that a number does not hold exactly is a bigint here.
 * @param members how many members all objects of the text have together; see `MessageScanner`
 * @throws ProtocolError for what is no JSON, for strings that no text can be, for integers that can't be kept, and for a key that
 * the outermost object has twice
 */
export function readJson(text: string, members: number): ReadJson {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new ProtocolError('a message is no JSON');
  }
  // As a rule nothing is lost, and that is found out at a tenth of the cost of reading exactly.
  if (!text.includes('\\u') && countMembers(value) === members) return { value, twice: undefined };
  return new ExactReader(text).read();
}

/** How many members the objects of a value have together; NaN if there is a number that may have been rounded. */
function countMembers(value: unknown): number {
  if (typeof value === 'number') return value > MOST || value < -MOST ? Number.NaN : 0;
  if (typeof value !== 'object' || value === null) return 0;
  let count = 0;
  if (Array.isArray(value)) {
    for (const element of value) count += countMembers(element);
  } else {
    const object = value as Readonly<Record<string, unknown>>;
    for (const key in object) {
      const member = object[key];
      count += typeof member === 'string' ? 1 : 1 + countMembers(member);
    }
  }
  return count;
}

/** Reads a text that is known to be JSON, token by token. */
class ExactReader {
  readonly #text: string;
  #at = 0;
  #depth = 0;
  #twice: string | undefined;

  constructor(text: string) {
    this.#text = text;
  }

  read(): ReadJson {
    const value = this.#value();
    return { value, twice: this.#twice };
  }

  #value(): unknown {
    switch (this.#look()) {
      case '{':
        return this.#object();
      case '[':
        return this.#array();
      case '"':
        return this.#string();
      case 't':
      case 'f':
      case 'n':
        return JSON.parse(this.#take(LITERAL));
      default:
        return exactNumber(this.#take(NUMBER));
    }
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at++;
    this.#depth++;
    while (this.#look() !== '}') {
      if (this.#look() === ',') this.#at++;
      this.#look();
      const key = this.#string();
      this.#look();
      this.#at++;
      if (Object.hasOwn(object, key)) this.#noteTwice(key);
      // An assignment to `__proto__` would be none.
      Object.defineProperty(object, key, {
        value: this.#value(),
        configurable: true,
        enumerable: true,
        writable: true,
      });
    }
    this.#at++;
    this.#depth--;
    return object;
  }

  #noteTwice(key: string): void {
    if (this.#depth === 1) throw new ProtocolError(`a message has the key '${key}' twice`);
    this.#twice ??= key;
  }

  #array(): unknown[] {
    const array: unknown[] = [];
    this.#at++;
    while (this.#look() !== ']') {
      if (this.#look() === ',') this.#at++;
      array.push(this.#value());
    }
    this.#at++;
    return array;
  }

  #string(): string {
    let end = this.#at;
    do end = this.#text.indexOf('"', end + 1);
    while (this.#isEscaped(end));
    // Also makes a copy: a slice would keep the whole message in memory.
    const string: string = JSON.parse(this.#text.slice(this.#at, end + 1));
    if (NO_TEXT.test(string)) throw new ProtocolError('a message has a string that is no text');
    this.#at = end + 1;
    return string;
  }

  #isEscaped(at: number): boolean {
    let backslashes = 0;
    while (this.#text[at - backslashes - 1] === '\\') backslashes++;
    return backslashes % 2 === 1;
  }

  /** The next character that is no white space. */
  #look(): string | undefined {
    this.#take(WHITESPACE);
    return this.#text[this.#at];
  }

  #take(token: RegExp): string {
    token.lastIndex = this.#at;
    const [taken = ''] = token.exec(this.#text) ?? [];
    this.#at += taken.length;
    return taken;
  }
}

/** An integer of 64 bits as it is; what has a fraction, an exponent or more bits is a float, as systemd takes it. */
function exactNumber(token: string): number | bigint {
  const number = Number(token);
  if (!Number.isFinite(number))
    throw new ProtocolError(`a message has the number ${token.slice(0, 32)}, which is too large`);
  if (Math.abs(number) <= Number.MAX_SAFE_INTEGER || /[.eE]/.test(token)) return number;
  const integer = BigInt(token);
  if (hasAtMost64Bits(integer)) return integer;
  // JavaScript writes a float up to 1e21 like an integer, of whose digits only the first 17 count.
  if (BigInt(number) === integer || String(number) === token) return number;
  throw new ProtocolError(`a message has the integer ${token.slice(0, 32)}, which has more than 64 bits`);
}

/** Whether an integer is a signed or an unsigned one of 64 bits. */
export function hasAtMost64Bits(integer: bigint): boolean {
  return BigInt.asIntN(64, integer) === integer || BigInt.asUintN(64, integer) === integer;
}
