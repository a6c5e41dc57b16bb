import { isUtf8 } from 'node:buffer';
import * as t from 'io-ts';
import type { VarlinkError } from './varlink-error.js';

/** The longest message, its ending NUL included, in bytes: systemd's limit. */
export const MAX_MESSAGE = 16 * 1024 * 1024;

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

/** These keys and no others; `upgrade` may be said, but only declined: there is no other protocol to go over to. */
const callMessage = messageCodec<CallMessage>('varlink call', (u) => {
  let method = false;
  for (const key of Object.keys(u)) {
    const value = u[key];
    if (key === 'method') method = typeof value === 'string';
    else if (key === 'parameters') {
      if (value !== null && !isObject(value)) return false;
    } else if (key === 'oneway' || key === 'more') {
      if (typeof value !== 'boolean') return false;
    } else if (key !== 'upgrade' || value !== false) return false;
  }
  return method && !(u.oneway === true && u.more === true);
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

/** @returns undefined for what is no call: its sender does not speak Varlink */
export function decodeCall(text: string): CallMessage | undefined {
  return decode(callMessage, text);
}

/** @returns undefined for what is no reply */
export function decodeReply(text: string): ReplyMessage | undefined {
  return decode(replyMessage, text);
}

function decode<T>(codec: t.Type<T>, text: string): T | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = codec.decode(value);
  return result._tag === 'Right' ? result.right : undefined;
}

/** The text of a call, its NUL included. */
export function encodeCall(method: string, parameters: object, flag?: 'more' | 'oneway'): string {
  const end = flag === undefined ? '}\0' : `,"${flag}":true}\0`;
  return `{"method":${JSON.stringify(method)},"parameters":${JSON.stringify(parameters)}${end}`;
}

/** The text of a reply, its NUL included. */
export function encodeReply(parameters: object | undefined, continues: boolean): string {
  const text = parameters === undefined ? '{}' : JSON.stringify(parameters);
  return continues ? `{"parameters":${text},"continues":true}\0` : `{"parameters":${text}}\0`;
}

/** The text of an error reply, its NUL included; it has parameters even when the error has no fields. */
export function encodeError({ error, parameters }: VarlinkError): string {
  return `{"error":${JSON.stringify(error)},"parameters":${JSON.stringify(parameters)}}\0`;
}
