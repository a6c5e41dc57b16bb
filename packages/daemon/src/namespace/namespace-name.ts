import { siphash24 } from './siphash24.js';

/** The longest name of a user of ours, to which every name must leave room for `ns-` and `-65535`. */
const USER_NAME_MAX = 31;
const NAME_MAX = USER_NAME_MAX - 'ns-'.length - '-65535'.length;

const NAME = new RegExp(`^[A-Za-z0-9_-]{0,${NAME_MAX}}$`);
const HASH_KEY = Buffer.from('ed3abb013a144bb38a63a4adba2dc90a', 'hex');

const USER_NAME = /^ns-(.*)-(0|[1-9]\d{0,4})$/;

/** A user of a namespace: the name it is registered by, and the user's distance from the range's first id. */
export interface NamespaceUser {
  readonly name: string;
  /** 0 to 65535 */
  readonly offset: number;
}

/**
 * Whether a namespace can be registered by this name: `ns-<name>-65535` is a user name as POSIX portably allows, of at
 * most 31 characters, which makes it a safe part of a file name, too. Systemd before 258 gave out the empty one, too.
 */
export function isNamespaceName(name: string): boolean {
  return NAME.test(name);
}

/**
 * The name that a client's namespace is registered by: what it asked for if the client is root, else with its uid in
 * front, so that users can't take each other's names.
 * @returns undefined if that is no valid name
 */
export function registryName(name: string, peerUid: number): string | undefined {
  return ifValid(ownName(name, peerUid));
}

/**
 * The same for a client that takes another name where this one is not valid: cut short, should that make it valid, else a hash of it.
 * @param cookie of the connection, so that others have other hashes: 64 bits. A repeated call has the same
 * @returns undefined if even that leaves no room for the uid
 */
export function mangledName(name: string, peerUid: number, cookie: bigint): string | undefined {
  const asked = ownName(name, peerUid);
  return ifValid(asked) ?? ifValid(asked.slice(0, NAME_MAX)) ?? ifValid(ownName(nameHash(name, cookie), peerUid));
}

function ifValid(name: string): string | undefined {
  return name !== '' && isNamespaceName(name) ? name : undefined;
}

function ownName(name: string, peerUid: number): string {
  return peerUid === 0 ? name : `${peerUid}-${name}`;
}

function nameHash(name: string, cookie: bigint): string {
  const before = Buffer.alloc(8);
  before.writeBigUInt64LE(cookie);
  const hash = siphash24(HASH_KEY, Buffer.concat([before, Buffer.from(name)]));
  return hash.toString(16).padStart(16, '0');
}

/** The name of the user (or group) `offset` ids after the first of the namespace `name`. */
export function userName({ name, offset }: NamespaceUser): string {
  return `ns-${name}-${offset}`;
}

/** Reads a user's name as `userName` writes it, and no other way; undefined if it can't be one of ours. */
export function parseUserName(text: string): NamespaceUser | undefined {
  const [, name, digits] = USER_NAME.exec(text) ?? [];
  if (name === undefined || digits === undefined || !isNamespaceName(name)) return undefined;
  const offset = Number(digits);
  return offset > 65_535 ? undefined : { name, offset };
}
