import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { isNamespaceName } from './namespace-name.js';

/** The ids of a namespace: `size` of them, from `start` on outside, from `target` on inside. */
export interface IdRange {
  readonly start: number;
  readonly size: number;
  readonly target: number;
}

/** What the registry knows of one user namespace. */
export interface NamespaceEntry {
  /** The uid of the user it belongs to. */
  readonly owner: number;
  /** Unique among all namespaces; see `isNamespaceName`. */
  readonly name: string;
  /** The namespace's inode, 32 bits. */
  readonly userns: number;
  /** Missing for a namespace whose maps its owner has written. */
  readonly range?: IdRange;
  /** The ids of the cgroups that were given to it, 64 bits each. */
  readonly cgroups: readonly bigint[];
}

const UINT32_MAX = 0xffff_ffff;
const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

const Uint32 = refine('Uint32', t.number, (value) => Number.isInteger(value) && value >= 0 && value <= UINT32_MAX);
// chown(2) takes two values for "leave it", of 32 and of 16 bits, so they are nobody's.
const Id = refine('Id', Uint32, (value) => value !== UINT32_MAX && value !== 0xffff);
const Inode = refine('Inode', Uint32, (value) => value !== 0);
const Name = refine('NamespaceName', t.string, isNamespaceName);

const CgroupId = new t.Type<bigint, string, unknown>(
  'CgroupId',
  (value): value is bigint => typeof value === 'bigint',
  (value, context) => {
    if (Number.isSafeInteger(value) || (typeof value === 'string' && /^\d+$/.test(value))) {
      const id = BigInt(value as number | string);
      if (id >= 0n && id <= UINT64_MAX) return t.success(id);
    }
    return t.failure(value, context);
  },
  String,
);

// Unknown fields, which a newer systemd may write, are none of our business.
const LooseFields = t.intersection([
  t.type({ owner: Id, name: Name, userns: Inode }),
  t.partial({ size: Uint32, start: Id, target: Id, cgroups: t.array(CgroupId) }),
]);

// All of a range or nothing of it, never from root's id on, and within 32 bits on both sides.
const Fields = refine('NamespaceFields', LooseFields, ({ size, start, target }) => {
  if (!size) return start === undefined && target === undefined;
  return !!start && target !== undefined && start + size <= UINT32_MAX && target + size <= UINT32_MAX;
});

/** Reads the text of a registry file; undefined if it is none that could have been written. */
export function parseNamespaceEntry(text: string): NamespaceEntry | undefined {
  let json: unknown;
  try {
    json = JSON.parse(quoteLongNumbers(text));
  } catch {
    return undefined;
  }
  const fields = Fields.decode(json);
  if (isLeft(fields)) return undefined;
  const { owner, name, userns, size, start, target, cgroups = [] } = fields.right;
  const range = size && start !== undefined && target !== undefined ? { range: { start, size, target } } : {};
  return { owner, name, userns, ...range, cgroups: [...new Set(cgroups)] };
}

/** Writes the text of a registry file. */
export function formatNamespaceEntry({ owner, name, userns, range, cgroups }: NamespaceEntry): string {
  const json = JSON.stringify({ owner, name, userns, ...range });
  // JSON.stringify knows no 64-bit numbers.
  return cgroups.length === 0 ? json : `${json.slice(0, -1)},"cgroups":[${cgroups.join(',')}]}`;
}

/** Turns numbers that JavaScript's would round into strings of their digits; what stands in a string stays as it is. */
function quoteLongNumbers(json: string): string {
  if (!/\d{16}/.test(json)) return json;
  return json.replace(/"(?:[^"\\]|\\.)*"|(?<![\w.+-])\d{16,}(?![\w.])/g, (token) =>
    token.startsWith('"') ? token : `"${token}"`,
  );
}

/** The values of a codec that also pass a check. */
function refine<A, O>(name: string, codec: t.Type<A, O>, holds: (value: A) => boolean): t.Type<A, O> {
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
