import { checkInteger, type Fd } from '@sdrx/linux';
import type * as t from 'io-ts';
import { NO_TEXT } from './text.js';

/** A value as an error message shows it. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return JSON.stringify(value);
    case 'bigint':
      return `${value}n`;
    case 'function':
      return 'a function';
    case 'object':
      if (value === null) return 'null';
      return Array.isArray(value)
        ? 'an array'
        : `an object of ${Object.getPrototypeOf(value)?.constructor?.name ?? 'no class'}`;
    default:
      return String(value);
  }
}

/** @throws TypeError for what is no string, or one that can't be sent */
export function requireText(value: unknown, name: string): asserts value is string {
  if (typeof value !== 'string') throw new TypeError(`\`${name}\` must be a string, not ${shown(value)}`);
  if (NO_TEXT.test(value)) throw new TypeError(`\`${name}\` has NUL or half of a surrogate pair: ${shown(value)}`);
}

/** @throws TypeError for what is no codec of io-ts, whichever copy of it */
export function requireCodec(value: unknown, name: string): asserts value is t.Mixed {
  const codec = value as Partial<t.Mixed> | null | undefined;
  if (typeof codec === 'object' && typeof codec?.validate === 'function' && typeof codec.name === 'string') return;
  throw new TypeError(`\`${name}\` must be a codec of io-ts, not ${shown(value)}`);
}

/** @throws TypeError or RangeError for what is no descriptor's number; a closed one's, which is negative, is none */
export function requireFd(value: unknown, name: string): asserts value is number {
  checkInteger(name, value, 0, 0x7fff_ffff);
}

/** @throws TypeError for what is no Fd, also one of another copy of @sdrx/linux */
export function requireFdObject(value: unknown, name: string): asserts value is Fd {
  const fd = value as Partial<Fd> | null | undefined;
  if (typeof fd === 'object' && typeof fd?.number === 'number' && typeof fd.close === 'function') return;
  throw new TypeError(`\`${name}\` must be an Fd, not ${shown(value)}`);
}

/** @throws RangeError for what is no number above 0, Infinity included */
export function requireTime(value: unknown, name: string): asserts value is number {
  if (typeof value === 'number' && value > 0) return;
  throw new RangeError(`\`${name}\` must be a number of milliseconds above 0, not ${shown(value)}`);
}

/** @throws TypeError for what is no AbortSignal */
export function requireSignal(value: unknown, name: string): asserts value is AbortSignal {
  if (value instanceof AbortSignal) return;
  throw new TypeError(`\`${name}\` must be an AbortSignal, not ${shown(value)}`);
}
