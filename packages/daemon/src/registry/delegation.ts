import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { formatJson } from './lossless-json.js';
import { Id, Inode, type OtherFields, otherFields, parseObject, Uint32 } from './registry-fields.js';

/**
 * A range that a namespace may give to namespaces made within it, as systemd keeps it in `u<start>.delegate` from 260 on.
 * One of these may have been given the right itself; then it is the holder until it dies.
 */
export interface Delegation {
  readonly start: number;
  readonly startGid: number;
  readonly size: number;
  /** The inodes of the namespaces that have it: the first one that got it first, the present holder last. */
  readonly holders: readonly number[];
  /** Fields that this release does not know, by name. */
  readonly other?: OtherFields;
}

const Fields = t.intersection([
  t.type({ userns: Inode, start: Id, size: Uint32 }),
  t.partial({ startGid: Id, ancestorUserns: t.array(Inode) }),
]);

const KNOWN = new Set(['userns', 'start', 'startGid', 'size', 'ancestorUserns']);

/** Reads the text of a `.delegate` file; undefined if it is none that could have been written. */
export function parseDelegation(text: string): Delegation | undefined {
  const json = parseObject(text);
  const fields = Fields.decode(json);
  if (json === undefined || isLeft(fields)) return undefined;
  const { userns, start, startGid = start, size, ancestorUserns = [] } = fields.right;
  if (size === 0) return undefined;
  return { start, startGid, size, holders: [...ancestorUserns, userns], ...otherFields(json, KNOWN) };
}

/** Writes the text of a `.delegate` file. Throws RangeError without a holder. */
export function formatDelegation({ start, startGid, size, holders, other }: Delegation): string {
  const userns = holders.at(-1);
  if (userns === undefined) throw new RangeError('a delegation needs a holder');
  const ancestors = holders.slice(0, -1);
  return formatJson({
    ...{ userns, start, startGid, size },
    ...(ancestors.length === 0 ? {} : { ancestorUserns: ancestors }),
    ...other,
  });
}
