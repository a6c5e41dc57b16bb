import { existsSync } from 'node:fs';
import { parseUserName, userName } from '../namespace/namespace-name.js';
import { firstIdOf } from '../namespace/uid-range.js';
import { firstGid, type NamespaceEntry } from '../registry/namespace-entry.js';
import type { Registry } from '../registry/registry.js';

const SERVICE = 'io.systemd.NamespaceResource';
const GID_NOBODY = 65_534;

const NOLOGIN = ['/usr/sbin/nologin', '/sbin/nologin'];
let nologin: string | undefined;

/** A user in the format of https://systemd.io/USER_RECORD, as far as a namespace's user has anything to tell. */
export interface UserRecord {
  readonly userName: string;
  readonly uid: number;
  readonly gid: number;
  readonly realName: string;
  readonly homeDirectory: string;
  readonly shell: string;
  readonly locked: boolean;
  readonly service: string;
  readonly disposition: 'container' | 'dynamic';
}

/** A group in the format of https://systemd.io/GROUP_RECORD. */
export interface GroupRecord {
  readonly groupName: string;
  readonly gid: number;
  readonly description: string;
  readonly service: string;
  readonly disposition: 'container' | 'dynamic';
}

/** A namespace that has a range. */
export type AllocatedEntry = NamespaceEntry & Required<Pick<NamespaceEntry, 'range'>>;

/** One id of an allocated namespace; `offset` counts from the range's first. */
export interface NamespaceId {
  readonly entry: AllocatedEntry;
  readonly offset: number;
}

/** What a user database is asked for: an id, a name, or both, which then must agree. */
export interface UserQuery {
  readonly id?: number | undefined;
  readonly name?: string | undefined;
}

/** Users and groups have the same names, but may have other ids. */
export type Kind = 'user' | 'group';

/**
 * Finds whom a user database is asked for.
 * @returns 'no-record' if nobody has the name (without one: the id), 'conflict' if the name's user has another id
 * Throws EBADMSG if the registry's file can't be read.
 */
export function lookup(
  registry: Registry,
  { id, name }: UserQuery,
  kind: Kind = 'user',
): NamespaceId | 'no-record' | 'conflict' {
  if (name !== undefined) {
    const user = parseUserName(name);
    const found = user && idOf(registry.byName(user.name), user.offset);
    if (found === undefined) return 'no-record';
    return id === undefined || id === firstId(found.entry, kind) + found.offset ? found : 'conflict';
  }
  const start = id === undefined ? undefined : firstIdOf(id);
  if (id === undefined || start === undefined) return 'no-record';
  const entry = kind === 'user' ? registry.byStart(start) : registry.byStartGid(start);
  return idOf(entry, id - start) ?? 'no-record';
}

/** The user record of one id of a namespace. */
export function userRecord({ range, name }: AllocatedEntry, offset: number): UserRecord {
  return {
    userName: userName({ name, offset }),
    uid: range.start + offset,
    gid: GID_NOBODY,
    realName: describe('User', name, range.size, offset),
    homeDirectory: '/',
    shell: noLoginShell(),
    locked: true,
    service: SERVICE,
    disposition: dispositionOf(range.size),
  };
}

/** The group record of one id of a namespace. */
export function groupRecord({ range, name }: AllocatedEntry, offset: number): GroupRecord {
  return {
    groupName: userName({ name, offset }),
    gid: firstGid(range) + offset,
    description: describe('Group', name, range.size, offset),
    service: SERVICE,
    disposition: dispositionOf(range.size),
  };
}

function idOf(entry: NamespaceEntry | undefined, offset: number): NamespaceId | undefined {
  return entry !== undefined && hasRange(entry) && offset < entry.range.size ? { entry, offset } : undefined;
}

function hasRange(entry: NamespaceEntry): entry is AllocatedEntry {
  return entry.range !== undefined;
}

function firstId({ range }: AllocatedEntry, kind: Kind): number {
  return kind === 'user' ? range.start : firstGid(range);
}

function describe(kind: 'User' | 'Group', name: string, size: number, offset: number): string {
  const namespace = `Allocated Namespace ${name}`;
  return size > 1 ? `${kind} ${offset} of ${namespace}` : namespace;
}

function dispositionOf(size: number): 'container' | 'dynamic' {
  return size > 1 ? 'container' : 'dynamic';
}

/** The system's nologin(8), which is not everywhere in the same place. */
function noLoginShell(): string {
  nologin ??= NOLOGIN.find((path) => existsSync(path)) ?? '/usr/sbin/nologin';
  return nologin;
}
