import * as t from 'io-ts';
import { varlinkCodec } from './codec-kind.js';

/** What a codec becomes, by whether structs within are open. Recursive ones are made once, or they would be made for ever. */
const recursive = { open: new WeakMap<t.Mixed, t.Mixed>(), closed: new WeakMap<t.Mixed, t.Mixed>() };

/** A float as `readJson` gives it: JavaScript writes 1e20 without an exponent, so a peer's float may look like an integer. */
const float = new t.Type<number>(
  'float',
  Number.isFinite as (u: unknown) => u is number,
  (u, context) => {
    if (typeof u === 'bigint') return t.success(Number(u));
    return Number.isFinite(u) ? t.success(u as number) : t.failure(u, context);
  },
  t.identity,
);

/**
 * The codec for a value that comes in a message and was declared by another one.
 * @param open whether structs at any depth let keys through that are not declared
 */
export function receivedCodec(declared: t.Mixed, open: boolean): t.Mixed {
  const codec = varlinkCodec(declared);
  switch (codec._tag) {
    case 'NumberType':
      return float;
    case 'StructType':
      return codec.received(open);
    case 'ArrayType':
      return t.array(receivedCodec(codec.type, open), codec.name);
    case 'DictionaryType':
      return t.record(codec.domain, receivedCodec(codec.codomain, open), codec.name);
    case 'UnionType':
      return t.union(codec.types.map((type) => receivedCodec(type, open)) as [t.Mixed, t.Mixed], codec.name);
    case 'RecursiveType':
      return receivedRecursion(codec, open);
    default:
      return declared;
  }
}

function receivedRecursion(codec: t.RecursiveType<t.Mixed>, open: boolean): t.Mixed {
  const made = open ? recursive.open : recursive.closed;
  let received = made.get(codec);
  if (received === undefined) {
    // Its definition may not be complete yet.
    received = t.recursion<unknown>(codec.name, () => receivedCodec(codec.runDefinition(), open));
    made.set(codec, received);
  }
  return received;
}
