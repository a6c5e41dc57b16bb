import * as t from 'io-ts';
import { requireCodec, shown } from './arguments.js';

/** Varlink's `string`: text without NUL. */
export const string = t.string;

/** Varlink's `bool`. */
export const bool = t.boolean;

/** Varlink's `float`: a number of JavaScript's. NaN and the infinities can't be sent. */
export const float = t.number;

/** The codec of a whole number that JavaScript holds exactly. */
export class IntType extends t.Type<number> {
  readonly _tag = 'IntType';

  constructor() {
    super('int', isInt, (u, context) => (isInt(u) ? t.success(u) : t.failure(u, context)), t.identity);
  }
}

/** A whole number that JavaScript holds exactly, ±(2⁵³ − 1). Varlink's `int` may have 64 bits: what lies beyond is refused. */
export const int = new IntType();

function isInt(u: unknown): u is number {
  return Number.isSafeInteger(u);
}

/** The codec of a whole number from `min` to `max`, both included. */
export class IntRangeType extends t.Type<number> {
  readonly _tag = 'IntRangeType';

  constructor(
    readonly min: number,
    readonly max: number,
  ) {
    const is = (u: unknown): u is number => isInt(u) && u >= min && u <= max;
    super(`int from ${min} to ${max}`, is, (u, context) => (is(u) ? t.success(u) : t.failure(u, context)), t.identity);
  }
}

/**
 * A whole number from `min` to `max`, both included; still `int` in the interface's text, which knows no ranges.
 * @throws RangeError unless both are whole numbers within ±(2⁵³ − 1), the smaller one first
 */
export function intBetween(min: number, max: number): IntRangeType {
  if (!isInt(min)) throw new RangeError(`\`min\` must be a whole number, not ${shown(min)}`);
  if (!isInt(max) || max < min)
    throw new RangeError(`\`max\` must be a whole number of ${min} or more, not ${shown(max)}`);
  return new IntRangeType(min, max);
}

/** What uid_t, gid_t and most other kernel ids are: 0 to 2³² − 1. */
export const uint32 = intBetween(0, 0xffff_ffff);

/** The place of a passed descriptor among those that came with the message. unix(7) SCM_RIGHTS */
export const fdIndex = intBetween(0, 0x7fff_ffff);

/**
 * A JSON object that another specification describes, such as a user record. An integer within it is a bigint where a number
 * would not hold it exactly, beyond ±(2⁵³ − 1); one of more than 64 bits is refused.
 */
export const foreignObject = t.UnknownRecord;

/** The codec of any JSON value but null. */
export class AnyValueType extends t.Type<unknown> {
  readonly _tag = 'AnyValueType';

  constructor() {
    const is = (u: unknown): u is unknown => u !== null && u !== undefined;
    super('any', is, (u, context) => (is(u) ? t.success(u) : t.failure(u, context)), t.identity);
  }
}

/** Varlink's `any`, which systemd 260 brought: a value of any type but null. Its integers are as those of `foreignObject`. */
export const anyValue = new AnyValueType();

/**
 * `?codec`: the value, or null. For a field that may be missing use `optional`.
 * @throws TypeError for what is no codec
 */
export function nullable<C extends t.Mixed>(codec: C): t.UnionC<[C, t.NullC]> {
  requireCodec(codec, 'codec');
  return t.union([codec, t.null]);
}
