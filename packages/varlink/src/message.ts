import { isUtf8 } from 'node:buffer';
import * as t from 'io-ts';
import { readJson } from './read-json.js';
import { ProtocolError, type VarlinkError } from './varlink-error.js';
import { writeJson } from './write-json.js';

/** The longest message, its ending NUL included, in bytes: systemd's limit. */
export const MAX_MESSAGE = 16 * 1024 * 1024;

/** How a call may be answered other than by one reply. */
export type CallFlag = 'more' | 'oneway' | 'upgrade';

/** What a client sends. varlink.org/Method-Call */
export interface CallMessage {
  readonly method: string;
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly oneway?: boolean | undefined;
  readonly more?: boolean | undefined;
  readonly upgrade?: boolean | undefined;
}

/** What a server sends. varlink.org/Method-Call */
export interface ReplyMessage {
  readonly parameters?: Readonly<Record<string, unknown>> | null | undefined;
  readonly error?: string | undefined;
  readonly continues?: boolean | undefined;
}

/** A call as it came. */
export interface DecodedCall {
  readonly message: CallMessage;
  /** A key that an object among the parameters has twice. */
  readonly twice: string | undefined;
}

/** These keys and no others, and one of the flags at most. */
const callMessage = messageCodec<CallMessage>('varlink call', (u) => {
  let method = false;
  let flags = 0;
  for (const key of Object.keys(u)) {
    const value = u[key];
    if (key === 'method') method = typeof value === 'string';
    else if (key === 'parameters') {
      if (value !== null && !isObject(value)) return false;
    } else if (key === 'oneway' || key === 'more' || key === 'upgrade') {
      if (typeof value !== 'boolean') return false;
      if (value) flags++;
    } else return false;
  }
  return method && flags <= 1;
});

const replyMessage = messageCodec<ReplyMessage>('varlink reply', (u) => {
  for (const key of Object.keys(u)) {
    const value = u[key];
    if (key === 'parameters') {
      if (value !== null && !isObject(value)) return false;
    } else if (key === 'error') {
      if (typeof value !== 'string') return false;
    } else if (key !== 'continues' || typeof value !== 'boolean') return false;
  }
  return true;
});

function isObject(u: unknown): u is Record<string, unknown> {
  return typeof u === 'object' && u !== null && !Array.isArray(u);
}

/** Written out by hand, since io-ts's own struct codecs would cost more than the rest of a call. */
function messageCodec<T>(name: string, valid: (u: Readonly<Record<string, unknown>>) => boolean): t.Type<T> {
  const is = (u: unknown): u is T => isObject(u) && valid(u);
  return new t.Type<T>(name, is, (u, context) => (is(u) ? t.success(u) : t.failure(u, context)), t.identity);
}

/**
 * The text of a message, without its NUL.
 * @returns undefined when it is no UTF-8
 */
export function decodeText(bytes: Buffer, start: number, end: number): string | undefined {
  const text = bytes.toString('utf8', start, end);
  // What is not UTF-8 is decoded as U+FFFD, which may also have been sent; only then it is worth a second look.
  if (text.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) return undefined;
  return text;
}

/**
 * @param members how many members all its objects have together; see `MessageScanner`
 * @throws ProtocolError for what is no call: its sender does not speak Varlink
 */
export function decodeCall(text: string, members: number): DecodedCall {
  const { value, twice } = readJson(text, members);
  return { message: decode(callMessage, value), twice };
}

/** As `decodeCall`. @throws ProtocolError for what is no reply, and for a key that any object in it has twice */
export function decodeReply(text: string, members: number): ReplyMessage {
  const { value, twice } = readJson(text, members);
  if (twice !== undefined) throw new ProtocolError(`a message has the key '${twice}' twice`);
  return decode(replyMessage, value);
}

function decode<T>(codec: t.Type<T>, value: unknown): T {
  // Not codec.decode, which makes three objects of a value that it leaves as it is.
  if (!codec.is(value)) throw new ProtocolError(`a message is no ${codec.name}`);
  return value;
}

/** The text of a call, its NUL included. @throws TypeError or RangeError that names what can't be sent */
export function encodeCall(method: string, parameters: object, flag?: CallFlag): string {
  const end = flag === undefined ? '}\0' : `,"${flag}":true}\0`;
  return `{"method":${JSON.stringify(method)},"parameters":${writeJson(parameters)}${end}`;
}

/** The text of a reply, its NUL included. @param parameters as JSON */
export function encodeReply(parameters: string, continues: boolean): string {
  return continues ? `{"parameters":${parameters},"continues":true}\0` : `{"parameters":${parameters}}\0`;
}

/**
 * The text of an error reply, its NUL included; it has parameters even when the error has no fields.
 * @throws as `encodeCall`
 */
export function encodeError({ error, parameters }: VarlinkError): string {
  return `{"error":${JSON.stringify(error)},"parameters":${writeJson(parameters)}}\0`;
}
