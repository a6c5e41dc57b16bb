import { inspect } from 'node:util';

/*
 * Checks of what users pass, who may write JavaScript. A wrong kind of value is a TypeError, a number out of its range a
 * RangeError, both with the code that Node's own have, and a message that names the argument and shows the value.
 */

/** The range of C's int, which descriptors are of. */
const INT_MIN = -0x8000_0000;
const INT_MAX = 0x7fff_ffff;

/** The largest number of 32 bits without a sign. */
export const UINT32_MAX = 0xffff_ffff;

/** The error for an argument of a wrong kind: `name` must be `expected`. */
export function wrongKind(name: string, expected: string, value: unknown): TypeError {
  return Object.assign(new TypeError(text(name, expected, value)), { code: 'ERR_INVALID_ARG_TYPE' });
}

/** The error for an argument of the right kind out of its range: `name` must be `expected`. */
export function outOfRange(name: string, expected: string, value: unknown): RangeError {
  return Object.assign(new RangeError(text(name, expected, value)), { code: 'ERR_OUT_OF_RANGE' });
}

function text(name: string, expected: string, value: unknown): string {
  return `\`${name}\` must be ${expected}, not ${inspect(value, { depth: 0, maxStringLength: 100, breakLength: Infinity })}`;
}

/** Throws unless `value` is a number from `least` to `most`, fractions allowed. NaN and the infinities are out of every range. */
export function checkNumber(
  name: string,
  value: unknown,
  least = -Number.MAX_VALUE,
  most = Number.MAX_VALUE,
  what = 'a number',
): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, what, value);
  if (!(value >= least && value <= most)) throw outOfRange(name, `${what}${range(least, most)}`, value);
}

/** Throws unless `value` is an integer from `least` to `most`, by default any that a number holds exactly. */
export function checkInteger(
  name: string,
  value: unknown,
  least = Number.MIN_SAFE_INTEGER,
  most = Number.MAX_SAFE_INTEGER,
): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, 'an integer', value);
  if (!(Number.isInteger(value) && value >= least && value <= most)) {
    throw outOfRange(name, `an integer${range(least, most)}`, value);
  }
}

function range(least: number, most: number): string {
  if (most < Number.MAX_SAFE_INTEGER) return ` from ${least} to ${most}`;
  if (least <= Number.MIN_SAFE_INTEGER) return '';
  return least === Number.MIN_VALUE ? ' above 0' : ` of ${least} or more`;
}

/**
 * Throws unless `value` can be a descriptor's number. A negative one can: that of an `Fd` that was closed is, and the kernel
 * says EBADF of it as of any other that is not open.
 */
export function checkFd(value: unknown, name = 'fd'): asserts value is number {
  if (typeof value !== 'number') throw wrongKind(name, "a descriptor's number", value);
  if ((value | 0) !== value) throw outOfRange(name, `an integer from ${INT_MIN} to ${INT_MAX}`, value);
}

/** Throws unless `value` is an integer of 32 bits without a sign: a user's id, a size. */
export function checkUint32(name: string, value: unknown): asserts value is number {
  checkInteger(name, value, 0, UINT32_MAX);
}

/** Throws unless `value` is a mask of 32 bits, which is negative where JavaScript's `|` put the uppermost one. */
export function checkMask(name: string, value: unknown): asserts value is number {
  checkInteger(name, value, INT_MIN, UINT32_MAX);
}

/** Throws unless `value` is a bigint of 64 bits without a sign. */
export function checkUint64(name: string, value: unknown): asserts value is bigint {
  if (typeof value !== 'bigint') throw wrongKind(name, 'a bigint', value);
  if (value < 0n || value >= 1n << 64n) throw outOfRange(name, 'a bigint from 0 to 2⁶⁴ − 1', value);
}

/** Throws unless `value` can be a process's id. */
export function checkPid(value: unknown, name = 'pid'): asserts value is number {
  checkInteger(name, value, 1, INT_MAX);
}

/** Throws unless `value` is a string. */
export function checkText(name: string, value: unknown): asserts value is string {
  if (typeof value !== 'string') throw wrongKind(name, 'a string', value);
}

/** Throws unless `value` is bytes: a Buffer or another Uint8Array. */
export function checkBytes(name: string, value: unknown): asserts value is Uint8Array {
  if (!(value instanceof Uint8Array)) throw wrongKind(name, 'a Buffer or another Uint8Array', value);
}

/** Throws unless `value` is true or false. */
export function checkBoolean(name: string, value: unknown): asserts value is boolean {
  if (typeof value !== 'boolean') throw wrongKind(name, 'true or false', value);
}

/** Throws unless `value` is a function. */
export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') throw wrongKind(name, 'a function', value);
}

/** Throws unless `value` is one of `choices`. */
export function checkChoice(name: string, value: unknown, choices: readonly unknown[]): void {
  if (choices.includes(value)) return;
  const expected = `one of ${choices.map((choice) => inspect(choice)).join(', ')}`;
  throw typeof value === typeof choices[0] ? outOfRange(name, expected, value) : wrongKind(name, expected, value);
}

/** Throws unless `value` is an object with named members, so no array either. */
export function checkObject(name: string, value: unknown, what = 'an object'): asserts value is object {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw wrongKind(name, what, value);
}

/** Throws unless `value` is an array, each item of which `checkItem` accepts under its own name. */
export function checkArray(name: string, value: unknown, checkItem: (name: string, item: unknown) => void): void {
  if (!Array.isArray(value)) throw wrongKind(name, 'an array', value);
  for (let index = 0; index < value.length; index++) checkItem(`${name}[${index}]`, value[index]);
}

/** Throws unless `value` has these methods: an object of a class of which there may be another copy, or a thing of its kind. */
export function checkMethods(name: string, value: unknown, what: string, ...methods: readonly string[]): void {
  const members = value as Readonly<Record<string, unknown>> | null | undefined;
  if (!methods.every((method) => typeof members?.[method] === 'function')) throw wrongKind(name, what, value);
}

/** Throws unless `value` is an array of what can be descriptors' numbers. */
export function checkFds(name: string, value: unknown): void {
  if (!Array.isArray(value)) throw wrongKind(name, 'an array', value);
  // Of descriptors many are passed: the name of one is made only if it is needed.
  for (let index = 0; index < value.length; index++) {
    const fd: unknown = value[index];
    if (typeof fd !== 'number' || (fd | 0) !== fd) checkFd(fd, `${name}[${index}]`);
  }
}

/** Throws unless `value` was made by `kind`. */
export function checkInstance<T>(
  name: string,
  value: unknown,
  kind: abstract new (...args: never[]) => T,
): asserts value is T {
  if (!(value instanceof kind)) throw wrongKind(name, `an object of the class ${kind.name}`, value);
}
