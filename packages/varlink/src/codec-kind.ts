import type * as t from 'io-ts';
import type { AnyValueType, IntRangeType, IntType } from './codecs.js';
import type { StructType } from './struct.js';

/** The codecs that have a Varlink type, and those that these are made of. */
export type VarlinkCodec =
  | IntType
  | IntRangeType
  | AnyValueType
  | StructType
  | t.StringType
  | t.NumberType
  | t.BooleanType
  | t.NullType
  | t.AnyDictionaryType
  | t.KeyofType<Readonly<Record<string, unknown>>>
  | t.ArrayType<t.Mixed>
  | t.DictionaryType<t.Mixed, t.Mixed>
  | t.UnionType<t.Mixed[]>
  | t.RecursiveType<t.Mixed>;

/**
 * A codec whose kind is told by its `_tag`, for a switch with a default: it may be of another kind, too. Never by `instanceof`,
 * as a program may have a second copy of io-ts, whose classes are others.
 */
export function varlinkCodec(codec: t.Mixed): VarlinkCodec {
  return codec as VarlinkCodec;
}
