import { hasAtMost64Bits } from './read-json.js';
import { NO_TEXT } from './text.js';

const MOST = Number.MAX_SAFE_INTEGER;

/** DEL may stand in a JSON string as it is, but systemd takes it only if it is escaped. */
const DEL = '\x7f';

/** What a bigint is until its quotes are taken away. No string that may be sent begins with NUL. */
const QUOTED_INTEGER = /"\\u0000(-?\d+)"/g;

/**
 * Writes an object as JSON, without a change that nobody is told of: JSON.stringify makes null of NaN, of functions and of
 * undefined within an array, leaves functions out of objects, and rounds integers beyond 2⁵³. A member that is undefined is left
 * out, which Varlink takes for null. A bigint is an integer.
 * @throws TypeError or RangeError that names the field which can't be sent
 */
export function writeJson(value: object): string {
  const text = tryStringify(value);
  if (text !== undefined && isPlain(value) && !text.includes('\\u') && !text.includes(DEL)) return text;
  requireSendable(value, '');
  return JSON.stringify(value, quoteInteger).replaceAll(QUOTED_INTEGER, '$1').replaceAll(DEL, '\\u007f');
}

/** @returns undefined if there is a bigint in it, or an object within itself */
function tryStringify(value: object): string | undefined {
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}

/** A replacer of JSON.stringify. It looks at the member itself, since programs give BigInt a `toJSON`. */
function quoteInteger(this: Readonly<Record<string, unknown>>, key: string, value: unknown): unknown {
  const member = this[key];
  if (typeof member === 'bigint') return `\0${member}`;
  return typeof value === 'number' && isRounded(value) ? `\0${BigInt(value)}` : value;
}

/**
 * Whether a number is an integer of 64 bits that JSON.stringify writes as another one, such as 2⁶⁰, of which it rounds the last digits.
 * One of more bits is a float to whoever reads it, also without an exponent.
 */
function isRounded(value: number): boolean {
  return (value > MOST && value < 2 ** 64) || (value < -MOST && value >= -(2 ** 63));
}

/** Whether JSON.stringify loses nothing, apart from what strings are made of. */
function isPlain(value: unknown): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return true;
    case 'number':
      return Number.isFinite(value) && !isRounded(value);
    case 'object':
      return value === null || (Array.isArray(value) ? isPlainArray(value) : isPlainObject(value));
    default:
      return false;
  }
}

function isPlainArray(array: readonly unknown[]): boolean {
  // Not `every`, which passes over gaps.
  for (const element of array) if (!isPlain(element)) return false;
  return true;
}

function isPlainObject(object: object): boolean {
  const members = object as Readonly<Record<string, unknown>>;
  if (members.toJSON !== undefined) return false;
  let empty = true;
  for (const key in members) {
    empty = false;
    const member = members[key];
    // Most are texts, and many are left out.
    if (typeof member !== 'string' && member !== undefined && !isPlain(member)) return false;
  }
  return !empty || !hidesAll(object);
}

/** Whether an object without members is something else than an empty object: a Map, a Set, a Promise. */
function hidesAll(object: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(object);
  return prototype !== null && prototype !== Object.prototype && Object.getPrototypeOf(prototype) !== null;
}

/** @param path is empty for the whole @throws for the first value that can't be sent, with its path */
function requireSendable(value: unknown, path: string, above: readonly object[] = []): void {
  switch (typeof value) {
    case 'string':
      if (NO_TEXT.test(value)) throw unsendable(path, 'a string with NUL or half of a surrogate pair');
      return;
    case 'number':
      if (!Number.isFinite(value)) throw unsendable(path, String(value), RangeError);
      return;
    case 'bigint':
      if (!hasAtMost64Bits(value)) throw unsendable(path, `${value}, which has more than 64 bits`, RangeError);
      return;
    case 'boolean':
      return;
    case 'object':
      if (value !== null) requireSendableObject(value, path, above);
      return;
    default:
      throw unsendable(path, value === undefined ? 'undefined' : `a ${typeof value}`);
  }
}

function requireSendableObject(object: object, path: string, above: readonly object[]): void {
  if (above.includes(object)) throw unsendable(path, 'an object within itself');
  const within = [...above, object];
  if (Array.isArray(object)) {
    // Not forEach, which passes over what is missing.
    for (let index = 0; index < object.length; index++) requireSendable(object[index], `${path}[${index}]`, within);
  } else if ('toJSON' in object && typeof object.toJSON === 'function') {
    requireSendable(object.toJSON(), path, within);
  } else {
    const entries = Object.entries(object);
    if (entries.length === 0 && hidesAll(object)) throw unsendable(path, `a ${object.constructor.name}`);
    for (const [key, member] of entries) {
      if (NO_TEXT.test(key)) throw unsendable(path, `an object with the key ${JSON.stringify(key)}`);
      if (member !== undefined) requireSendable(member, path === '' ? key : `${path}.${key}`, within);
    }
  }
}

function unsendable(path: string, what: string, Kind: typeof TypeError | typeof RangeError = TypeError): Error {
  return new Kind(`${path === '' ? 'it' : `'${path}'`} can't be sent in JSON: it is ${what}`);
}
