import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { parseJson } from './lossless-json.js';

const UINT32_MAX = 0xffff_ffff;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

export const Uint32 = refine(
  'Uint32',
  t.number,
  (value) => Number.isInteger(value) && value >= 0 && value <= UINT32_MAX,
);

/** A uid or gid. chown(2) takes two values for "leave it", of 32 and of 16 bits, so they are nobody's. */
export const Id = refine('Id', Uint32, (value) => value !== UINT32_MAX && value !== 0xffff);

export const Inode = refine('Inode', Uint32, (value) => value !== 0);

export const Uint64 = new t.Type<bigint, bigint, unknown>(
  'Uint64',
  (value): value is bigint => typeof value === 'bigint',
  (value, context) => {
    const number = Number.isSafeInteger(value) ? BigInt(value as number) : value;
    return typeof number === 'bigint' && number >= 0n && number <= UINT64_MAX
      ? t.success(number)
      : t.failure(value, context);
  },
  t.identity,
);

/** Fields of a registry file that a later release of systemd has written, by name, as `parseJson` reads them. */
export type OtherFields = Readonly<Record<string, unknown>>;

/** Reads a JSON object; undefined if the text is anything else. */
export function parseObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const json = parseJson(text);
    return t.UnknownRecord.is(json) ? json : undefined;
  } catch {
    // A SyntaxError, or a RangeError for what is nested too deep.
    return undefined;
  }
}

/** The fields of an object that are not among the known ones, as `other`, if there are any. */
export function otherFields(json: OtherFields, known: ReadonlySet<string>): { other?: OtherFields } {
  const fields = Object.entries(json).filter(([field]) => !known.has(field));
  return fields.length === 0 ? {} : { other: Object.fromEntries(fields) };
}

/** The values of a codec that also pass a check. */
export function refine<A, O>(name: string, codec: t.Type<A, O>, holds: (value: A) => boolean): t.Type<A, O> {
  return new t.Type<A, O>(
    name,
    (value): value is A => codec.is(value) && holds(value),
    (value, context) => {
      const result = codec.validate(value, context);
      return isLeft(result) || holds(result.right) ? result : t.failure(value, context);
    },
    codec.encode,
  );
}
