import { isUtf8 } from 'node:buffer';
import type { FdKind } from './fd-kinds.js';

/** What the daemon's limits are for a message. */
export const MESSAGE_SIZE = 16 * 1024;
export const MESSAGE_DEPTH = 16;
export const MESSAGE_FDS = 3;

const SERVICE = 'io.systemd.NamespaceResource';
const USER_DATABASE = 'io.systemd.UserDatabase';

/** A reply that may come, by what is said of it; what is not may be anything. */
export interface AllowedReply {
  /** The error's name; null for none. */
  readonly error: string | null;
  /** Of `io.systemd.System`. */
  readonly errnoName?: string;
  /** Of `InvalidParameter`. */
  readonly parameter?: string;
  readonly check?: (parameters: Readonly<Record<string, unknown>>) => boolean;
}

/** What is to come of a message: replies of which one must come, or no reply, and whether the connection ends. */
export interface Verdict {
  readonly allowed: readonly AllowedReply[];
  readonly ends: boolean;
}

const NO_REPLY: Verdict = { allowed: [], ends: false };
const END: Verdict = { allowed: [], ends: true };

/** A message as it arrives. */
export interface Arrival {
  /** Without its NUL. */
  readonly bytes: Buffer;
  /** The descriptors that come with it, by the number of its bytes after which they are there. */
  readonly fds: readonly { readonly after: number; readonly kind: FdKind }[];
  readonly uid: number;
}

type Json = Readonly<Record<string, unknown>>;

/** A method's parameters, by the interface's text. */
interface Parameter {
  readonly type: string;
  readonly optional: boolean;
}

/** The rules of replies: Varlink's, those of facts known of systemd, and the interfaces', as their texts declare them. */
export class Rules {
  readonly #methods = new Map<string, ReadonlyMap<string, Parameter>>();
  readonly #texts: ReadonlyMap<string, string>;

  /** @param texts the descriptions of all interfaces, by their names */
  constructor(texts: ReadonlyMap<string, string>) {
    this.#texts = texts;
    for (const [name, text] of texts) {
      const plain = text.replaceAll(/#.*$/gm, '');
      for (const [, method, parameters = ''] of plain.matchAll(/^method (\w+)\s*\(([^)]*)\)/gm)) {
        this.#methods.set(`${name}.${method}`, parseParameters(parameters));
      }
    }
  }

  judge(arrival: Arrival): Verdict {
    return judgeBytes(arrival) ?? this.#judgeText(arrival);
  }

  #judgeText(arrival: Arrival): Verdict {
    const { bytes, fds } = arrival;
    const message = parseCall(bytes);
    const twice = message && keysTwice(bytes.toString());
    if (message === undefined || twice === undefined) return END;
    if (fds.length > MESSAGE_FDS) return reply(message, system('ETOOMANYREFS'));
    return reply(message, ...this.#judgeCall(message, arrival, twice));
  }

  #judgeCall(message: Json, arrival: Arrival, twice: readonly string[]): readonly AllowedReply[] {
    const method = String(message.method);
    const declared = this.#methods.get(method);
    if (declared === undefined) return [varlink('MethodNotFound', ({ method: name }) => name === method)];
    if (twice.length > 0) return twice.slice(0, 1).map(invalid);
    const given = (message.parameters ?? {}) as Json;
    const doubtful: AllowedReply[] = [];
    for (const [name, value] of Object.entries(given)) {
      const parameter = declared.get(name);
      if (parameter === undefined) return [...doubtful, invalid(name)];
      const verdict = fits(value, parameter);
      if (verdict === 'wrong') return [...doubtful, invalid(name)];
      if (verdict === 'doubtful') doubtful.push(invalid(name));
    }
    for (const [name, { optional }] of declared) {
      if (!optional && !Object.hasOwn(given, name)) return [...doubtful, invalid(name)];
    }
    // No method of the daemon has another protocol.
    if (message.upgrade === true) return [...doubtful, invalid('upgrade')];
    return [...doubtful, ...this.#judgeAnswer(method, given, arrival)];
  }

  #judgeAnswer(method: string, given: Json, arrival: Arrival): readonly AllowedReply[] {
    if (method === 'org.varlink.service.GetInfo') {
      return [success(({ interfaces }) => Array.isArray(interfaces) && interfaces.length === this.#texts.size)];
    }
    if (method === 'org.varlink.service.GetInterfaceDescription') {
      const text = this.#texts.get(String(given.interface));
      return text === undefined
        ? [varlink('InterfaceNotFound', ({ interface: name }) => name === given.interface)]
        : [success(({ description }) => description === text)];
    }
    if (method === `${SERVICE}.AddMountToUserNamespace` && arrival.uid !== 0) return [varlink('PermissionDenied')];
    return method.startsWith(USER_DATABASE) ? judgeLookup(method, given) : judgeNamespace(method, given, arrival);
  }
}

/** By size, depth and descriptors, in the order in which these come in. */
function judgeBytes({ bytes, fds }: Arrival): Verdict | undefined {
  const tooDeep = depthExceeded(bytes);
  // The NUL has to fit, too.
  const tooLong = bytes.length >= MESSAGE_SIZE ? MESSAGE_SIZE : Number.POSITIVE_INFINITY;
  // Only before the end: with it the call is known that they came with.
  const early = fds.filter(({ after }) => after <= bytes.length);
  const tooMany = early[MESSAGE_FDS]?.after ?? Number.POSITIVE_INFINITY;
  const first = Math.min(tooDeep, tooLong, tooMany);
  if (first === Number.POSITIVE_INFINITY) return undefined;
  const name = first === tooDeep ? 'ELNRNG' : first === tooLong ? 'EMSGSIZE' : 'ETOOMANYREFS';
  return { allowed: [system(name)], ends: true };
}

/** After how many bytes there are more brackets open than may be; those within strings do not count. */
function depthExceeded(bytes: Buffer): number {
  const text = bytes.toString('latin1');
  let depth = 0;
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\[\s\S])*(?:"|$|\\$)|[[\]{}]/g)) {
    if (token === '[' || token === '{') depth++;
    else if (token === ']' || token === '}') depth = Math.max(0, depth - 1);
    if (depth > MESSAGE_DEPTH) return index + 1;
  }
  return Number.POSITIVE_INFINITY;
}

/** @returns undefined for what is no call */
function parseCall(bytes: Buffer): Json | undefined {
  if (!isUtf8(bytes)) return undefined;
  let message: unknown;
  try {
    message = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (!isObject(message) || typeof message.method !== 'string') return undefined;
  const { method: _, parameters = {}, more = false, oneway = false, upgrade = false, ...others } = message;
  const known = Object.keys(others).length === 0 && (parameters === null || isObject(parameters));
  const flags = [more, oneway, upgrade];
  const atMostOne = flags.every((flag) => typeof flag === 'boolean') && flags.filter(Boolean).length <= 1;
  return known && atMostOne ? message : undefined;
}

/** An object or an array that is being read; the keys of an object, and whether another one comes next. */
interface Open {
  readonly keys: Set<string> | undefined;
  atKey: boolean;
}

/**
 * The keys that objects within a call have twice.
 * @param text is JSON
 * @returns undefined if that is no call: the outermost object has one twice, a string is no text, or a number is not kept
 */
function keysTwice(text: string): readonly string[] | undefined {
  const twice: string[] = [];
  const open: Open[] = [];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],]|-?\d[\d.eE+-]*/g)) {
    const within = open.at(-1);
    if (token === '{') open.push({ keys: new Set(), atKey: true });
    else if (token === '[') open.push({ keys: undefined, atKey: false });
    else if (token === '}' || token === ']') open.pop();
    else if (token === ',' && within !== undefined) within.atKey = within.keys !== undefined;
    else if (token.startsWith('"')) {
      const string: string = JSON.parse(token);
      if (/[\0\p{Cs}]/u.test(string)) return undefined;
      if (within?.keys === undefined || !within.atKey) continue;
      within.atKey = false;
      if (within.keys.has(string)) {
        if (open.length === 1) return undefined;
        twice.push(string);
      }
      within.keys.add(string);
    } else if (token !== ',' && !isKept(token)) return undefined;
  }
  return twice;
}

/** Whether a number is what it says: a float of any kind, an integer of 64 bits, or one that a float holds. */
function isKept(token: string): boolean {
  const number = Number(token);
  if (!Number.isFinite(number)) return false;
  if (/[.eE]/.test(token) || Number.isSafeInteger(number)) return true;
  const integer = BigInt(token);
  if (integer >= -(2n ** 63n) && integer < 2n ** 64n) return true;
  return BigInt(number) === integer || String(number) === token;
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function reply(message: Json, ...allowed: readonly AllowedReply[]): Verdict {
  return message.oneway === true ? NO_REPLY : { allowed, ends: false };
}

function system(errnoName: string): AllowedReply {
  return { error: 'io.systemd.System', errnoName };
}

function varlink(error: string, check?: AllowedReply['check']): AllowedReply {
  return { error: `org.varlink.service.${error}`, ...(check && { check }) };
}

function invalid(parameter: string): AllowedReply {
  return { error: 'org.varlink.service.InvalidParameter', parameter };
}

function success(check: NonNullable<AllowedReply['check']>): AllowedReply {
  return { error: null, check };
}

function parseParameters(text: string): ReadonlyMap<string, Parameter> {
  const parameters = [...text.matchAll(/(\w+)\s*:\s*(\??)([^,]+)/g)];
  return new Map(
    parameters.map(([, name = '', mark, type = '']) => [name, { type: type.trim(), optional: mark === '?' }]),
  );
}

/** Numbers have a range that the text does not tell, and may be written as text for some clients' sake. */
function fits(value: unknown, { type, optional }: Parameter): 'right' | 'wrong' | 'doubtful' {
  if (value === null) return optional ? 'right' : 'wrong';
  switch (type) {
    case 'string':
      return typeof value === 'string' ? 'right' : 'wrong';
    case 'bool':
      return typeof value === 'boolean' ? 'right' : 'wrong';
    case 'int':
      if (typeof value === 'string') return /^\d+$/.test(value) ? 'doubtful' : 'wrong';
      if (!Number.isSafeInteger(value) || Number(value) < 0 || Number(value) > 0xffff_ffff) return 'wrong';
      return Number(value) >= 0x7fff_ffff ? 'doubtful' : 'right';
    default:
      return 'doubtful';
  }
}

/** io.systemd.UserDatabase: nobody has anything of what is asked for, or a record says what was asked. */
function judgeLookup(method: string, given: Json): readonly AllowedReply[] {
  const [id, name] = method.endsWith('GetGroupRecord') ? ['gid', 'groupName'] : ['uid', 'userName'];
  const found = (record: unknown) =>
    isObject(record) &&
    (typeof given[id] !== 'number' || record[id] === given[id]) &&
    (typeof given[name] !== 'string' || record[name] === given[name]);
  const error = (what: string): AllowedReply => ({ error: `${USER_DATABASE}.${what}` });
  const names = ['uid', 'gid', 'userName', 'groupName'].filter(
    (key) => given[key] !== undefined && given[key] !== null,
  );
  const malformed = names.map(invalid);
  if (given.service !== SERVICE) return [...malformed, error('BadService')];
  if (method.endsWith('GetMemberships')) return [...malformed, error('NoRecordFound')];
  if (names.length === 0) return [error('EnumerationNotSupported')];
  return [
    ...malformed,
    error('NoRecordFound'),
    ...(names.length > 1 ? [error('ConflictingRecordFound')] : []),
    success(({ record }) => found(record)),
  ];
}

/** io.systemd.NamespaceResource: nothing is done but for the namespace of a user who may have it done. */
function judgeNamespace(method: string, given: Json, { fds, uid }: Arrival): readonly AllowedReply[] {
  const error = (what: string): AllowedReply => ({ error: `${SERVICE}.${what}` });
  const values = Object.keys(given)
    .filter((name) => !name.endsWith('FileDescriptor'))
    .map(invalid);
  const network = method.endsWith('AddNetworkToUserNamespace') ? [invalid('interfaceName'), invalid('mode')] : [];
  // Of taps: without the device, taken already, beside a veth pair, of a namespace without a root.
  const tap = network.length > 0 ? ['EOPNOTSUPP', 'EBUSY', 'EINVAL', 'ENOMSG', 'EUCLEAN'].map(system) : [];
  const early = [...values, ...network, error('TooManyDelegations')];
  const index = given.userNamespaceFileDescriptor;
  const kind = fds[Number(index)]?.kind;
  if (kind === undefined) return [...early, system('ENXIO')];
  const refused = [invalid('userNamespaceFileDescriptor'), system('EREMOTEIO'), system('EBADF')];
  // What may hang is not kept while a message is not finished, or a call before it not answered.
  if (kind.userns === undefined) return [...early, ...refused, system('ENXIO')];
  if (!kind.userns(uid)) return [...early, ...refused];
  return [
    ...early,
    ...refused,
    ...['NameExists', 'UserNamespaceExists', 'DynamicRangeUnavailable', 'NoDynamicRange'].map(error),
    ...['UserNamespaceNotRegistered', 'UserNamespaceWithoutUserRange', 'ControlGroupAlreadyAdded'].map(error),
    ...['TooManyControlGroups', 'TooManyNetworkInterfaces'].map(error),
    ...['networkNamespaceFileDescriptor', 'controlGroupFileDescriptor', 'mountFileDescriptor'].map(invalid),
    ...['ENXIO', 'ENOTDIR', 'ELOOP', 'EUSERS', 'EPERM', 'EEXIST'].map(system),
    ...tap,
    varlink('PermissionDenied'),
    success(() => true),
  ];
}

/** Whether a reply is one of those that may come. */
export function isAllowed(text: string, allowed: readonly AllowedReply[]): boolean {
  let message: unknown;
  try {
    message = JSON.parse(text);
  } catch {
    return false;
  }
  if (!isObject(message)) return false;
  const { error = null, parameters, continues = false, ...others } = message;
  if (Object.keys(others).length > 0 || !isObject(parameters) || continues !== false) return false;
  return allowed.some(
    (each) =>
      each.error === error &&
      (each.errnoName === undefined || parameters.errnoName === each.errnoName) &&
      (each.parameter === undefined || parameters.parameter === each.parameter) &&
      (each.check === undefined || each.check(parameters)),
  );
}
