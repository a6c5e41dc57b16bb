import { isLeft } from 'fp-ts/lib/Either.js';
import * as t from 'io-ts';
import { isNamespaceName } from '../namespace/namespace-name.js';
import { formatJson } from './lossless-json.js';
import { Id, Inode, type OtherFields, otherFields, parseObject, refine, Uint32, Uint64 } from './registry-fields.js';

/** The ids of a namespace: `size` of them, from `start` on outside, from `target` on inside. */
export interface IdRange {
  readonly start: number;
  readonly size: number;
  readonly target: number;
  /** Where the groups begin outside, if not at `start`. */
  readonly startGid?: number;
  /** Where the groups begin inside, if not at `target`. */
  readonly targetGid?: number;
}

/** Ids that a namespace has besides its range, for namespaces to be made within it. systemd from 260 on gives them. */
export interface Delegate {
  /** The inode of the namespace that they were given to. */
  readonly userns?: number;
  readonly start: number;
  readonly startGid: number;
  readonly size: number;
  /** Fields that this release does not know, by name. */
  readonly other?: OtherFields;
}

/** What the registry knows of one user namespace. */
export interface NamespaceEntry {
  /** The uid of the user it belongs to. */
  readonly owner: number;
  /** Unique among all namespaces; see `isNamespaceName`. */
  readonly name: string;
  /** The namespace's inode, 32 bits. */
  readonly userns: number;
  /** What the kernel never gives to another namespace, 64 bits; missing where it was not written. ioctl_nsfs(2) NS_GET_ID */
  readonly usernsId?: bigint;
  /** Missing for a namespace whose maps its owner has written. */
  readonly range?: IdRange;
  /** Whether its tasks may not drop groups; missing where it was not written. */
  readonly setgroupsDeny?: boolean;
  /** The ids of the cgroups that were given to it, 64 bits each. */
  readonly cgroups: readonly bigint[];
  /** The names of the host's network interfaces that were made for it. */
  readonly netifs?: readonly string[];
  readonly delegates?: readonly Delegate[];
  /** Fields that this release does not know, by name. They stay as they are. */
  readonly other?: OtherFields;
}

/** How many delegated ranges an entry may have; systemd does not read one with more. */
export const DELEGATES = 16;

const UINT32_MAX = 0xffff_ffff;

const Name = refine('NamespaceName', t.string, isNamespaceName);

const DelegateFields = t.intersection([
  t.type({ start: Id, startGid: Id, size: refine('Size', Uint32, (size) => size !== 0) }),
  t.partial({ userns: Inode }),
]);

const LooseFields = t.intersection([
  t.type({ owner: Id, name: Name, userns: Inode }),
  t.partial({
    usernsId: Uint64,
    size: Uint32,
    start: Id,
    target: Id,
    startGid: Id,
    targetGid: Id,
    setgroupsDeny: t.boolean,
    cgroups: t.array(Uint64),
    netifs: t.array(t.string),
    delegates: refine('Delegates', t.array(DelegateFields), (delegates) => delegates.length <= DELEGATES),
  }),
]);

// All of a range or nothing of it, within 32 bits on both sides. Root's namespaces may begin at 0.
const Fields = refine('NamespaceFields', LooseFields, ({ size, start, target, startGid, targetGid }) => {
  const begins = [start, target, startGid, targetGid].filter((begin) => begin !== undefined);
  if (!size) return begins.length === 0;
  return start !== undefined && target !== undefined && begins.every((begin) => begin + size <= UINT32_MAX);
});

const KNOWN = new Set([
  ...['owner', 'name', 'userns', 'usernsId', 'size', 'start', 'target', 'startGid', 'targetGid', 'setgroupsDeny'],
  ...['cgroups', 'netifs', 'delegates'],
]);
const KNOWN_OF_DELEGATE = new Set(['userns', 'start', 'startGid', 'size']);

/** Reads the text of a registry file; undefined if it is none that could have been written. */
export function parseNamespaceEntry(text: string): NamespaceEntry | undefined {
  const json = parseObject(text);
  const fields = Fields.decode(json);
  if (json === undefined || isLeft(fields)) return undefined;
  const { owner, name, userns, size, start, target, ...rest } = fields.right;
  const { usernsId, startGid, targetGid, setgroupsDeny, cgroups = [], netifs = [], delegates = [] } = rest;
  const range =
    size && start !== undefined && target !== undefined
      ? {
          ...{ start, size, target },
          // Who reads them need not look where they are the same.
          ...(startGid === undefined || startGid === start ? {} : { startGid }),
          ...(targetGid === undefined || targetGid === target ? {} : { targetGid }),
        }
      : undefined;
  const given = Array.isArray(json.delegates) ? json.delegates : [];
  return {
    ...{ owner, name, userns },
    ...(usernsId ? { usernsId } : {}),
    ...(range === undefined ? {} : { range }),
    ...(setgroupsDeny === undefined ? {} : { setgroupsDeny }),
    cgroups: [...new Set(cgroups)],
    ...(netifs.length === 0 ? {} : { netifs: [...new Set(netifs)] }),
    ...(delegates.length === 0
      ? {}
      : { delegates: delegates.map((fields, index) => delegateOf(fields, given[index])) }),
    ...otherFields(json, KNOWN),
  };
}

/**
 * Writes the text of a registry file: only the fields that there are, as systemd before 258 does not read a file with one
 * that it does not know.
 */
export function formatNamespaceEntry(entry: NamespaceEntry): string {
  const { owner, name, userns, usernsId, range, setgroupsDeny, cgroups, netifs = [], delegates = [], other } = entry;
  return formatJson({
    ...{ owner, name, userns },
    ...(usernsId === undefined ? {} : { usernsId }),
    ...(range && rangeFields(range)),
    ...(setgroupsDeny === undefined ? {} : { setgroupsDeny }),
    ...(cgroups.length === 0 ? {} : { cgroups }),
    ...(netifs.length === 0 ? {} : { netifs }),
    ...(delegates.length === 0 ? {} : { delegates: delegates.map(delegateFields) }),
    ...other,
  });
}

function rangeFields({ start, size, target, startGid, targetGid }: IdRange): object {
  return {
    ...{ start, size, target },
    ...(startGid === undefined ? {} : { startGid }),
    ...(targetGid === undefined ? {} : { targetGid }),
  };
}

function delegateFields({ userns, start, startGid, size, other }: Delegate): object {
  return { ...(userns === undefined ? {} : { userns }), ...{ start, startGid, size }, ...other };
}

/** The first gid of a range outside. */
export function firstGid({ start, startGid = start }: IdRange): number {
  return startGid;
}

/** The first gid of a range inside. */
export function firstTargetGid({ target, targetGid = target }: IdRange): number {
  return targetGid;
}

/** Whether a namespace's only id outside is its owner's own, so that it was not lent to it, and is never free. */
export function isOfOwnId({ owner, range }: Pick<NamespaceEntry, 'owner' | 'range'>): boolean {
  return range?.size === 1 && range.start === owner;
}

/** Whether a namespace has a uid of the host's, in its range or to give it to others. */
export function hasUid({ range, delegates = [] }: NamespaceEntry, uid: number): boolean {
  const ranges = range === undefined ? delegates : [range, ...delegates];
  return ranges.some(({ start, size }) => uid >= start && uid - start < size);
}

function delegateOf({ userns, start, startGid, size }: t.TypeOf<typeof DelegateFields>, json: unknown): Delegate {
  return {
    ...(userns === undefined ? {} : { userns }),
    ...{ start, startGid, size },
    ...(t.UnknownRecord.is(json) ? otherFields(json, KNOWN_OF_DELEGATE) : {}),
  };
}
