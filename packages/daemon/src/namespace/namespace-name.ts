/** The longest name of a user of ours, to which every name must leave room for `ns-` and `-65535`. */
const USER_NAME_MAX = 31;
const NAME_MAX = USER_NAME_MAX - 'ns-'.length - '-65535'.length;

const NAME = new RegExp(`^[A-Za-z0-9_-]{0,${NAME_MAX}}$`);
const USER_NAME = /^ns-(.*)-(0|[1-9]\d{0,4})$/;

/** A user of a namespace: the name it is registered by, and the user's distance from the range's first id. */
export interface NamespaceUser {
  readonly name: string;
  /** 0 to 65535 */
  readonly offset: number;
}

/**
 * Whether a namespace can be registered by this name: `ns-<name>-65535` is a user name as POSIX portably allows, of at
 * most 31 characters, which makes it a safe part of a file name, too.
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
  const registered = ownName(name, peerUid);
  return isNamespaceName(registered) ? registered : undefined;
}

function ownName(name: string, peerUid: number): string {
  return peerUid === 0 ? name : `${peerUid}-${name}`;
}

/**
 * The names that will do for a client which leaves the choice to us, the best one first: the one that it asked for if that is
 * valid, and no other; else that one cut short, should that make it valid, and a random one. An empty one asks for that.
 * @param random hexadecimal digits, at least 16, that nobody could guess
 */
export function mangledNames(name: string, peerUid: number, random: string): readonly string[] {
  const asked = ownName(name, peerUid);
  const cut = asked.slice(0, NAME_MAX);
  const chosen = ownName(random.slice(0, 16), peerUid).slice(0, NAME_MAX);
  if (name === '' || !isNamespaceName(cut)) return [chosen];
  return cut === asked ? [asked] : [cut, chosen];
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
