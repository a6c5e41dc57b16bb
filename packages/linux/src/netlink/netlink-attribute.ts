import { checkArray, checkBytes, checkInteger, checkText, UINT32_MAX } from '../arguments.js';
import { EBADMSG, EMSGSIZE } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { cString } from '../ffi/c-string.js';

const HEADER_SIZE = 4;
const NLA_F_NESTED = 0x8000;
const NLA_TYPE_MASK = 0x3fff;

/** An attribute of a netlink message, ready to be sent: any number of them can be put one after the other. netlink(7) */
export function attribute(type: number, value: Uint8Array): Buffer {
  checkInteger('type', type, 0, 0xffff);
  checkBytes('value', value);
  const length = HEADER_SIZE + value.byteLength;
  if (length > 0xffff) throw new SystemError(EMSGSIZE, 'netlink', `attribute ${type} of ${value.byteLength} bytes`);
  const bytes = Buffer.alloc(align(length));
  bytes.writeUInt16LE(length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, HEADER_SIZE);
  return bytes;
}

/** One that holds others. */
export function nested(type: number, ...attributes: readonly Uint8Array[]): Buffer {
  checkInteger('type', type, 0, 0xffff);
  checkArray('attributes', attributes, checkBytes);
  return attribute(type | NLA_F_NESTED, Buffer.concat(attributes));
}

/** One that holds a text. @throws EINVAL for one with a NUL in it */
export function textAttribute(type: number, text: string): Buffer {
  checkInteger('type', type, 0, 0xffff);
  checkText('text', text);
  return attribute(type, Buffer.from(`${cString(text, 'netlink')}\0`));
}

/** One that holds 32 bits. */
export function uint32Attribute(type: number, value: number): Buffer {
  checkInteger('type', type, 0, 0xffff);
  checkInteger('value', value, -0x8000_0000, UINT32_MAX);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return attribute(type, bytes);
}

/** An attribute that was received; `value` is part of what it was read from. */
export interface Attribute {
  readonly type: number;
  readonly value: Buffer;
}

/** Reads attributes, in their order; one type may come more than once. @throws EBADMSG for one that does not fit */
export function readAttributes(bytes: Buffer): Attribute[] {
  checkBytes('bytes', bytes);
  const attributes: Attribute[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + HEADER_SIZE <= bytes.length ? bytes.readUInt16LE(at) : 0;
    if (length < HEADER_SIZE || at + length > bytes.length) throw new SystemError(EBADMSG, 'netlink', 'attribute');
    attributes.push({
      type: bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK,
      value: bytes.subarray(at + HEADER_SIZE, at + length),
    });
    at += align(length);
  }
  return attributes;
}

/** Reads the value of an attribute that holds a text. */
export function readText(value: Buffer): string {
  checkBytes('value', value);
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end === -1 ? undefined : end);
}

/** Attributes and messages begin at multiples of 4. */
export function align(size: number): number {
  checkInteger('size', size, 0);
  return Math.ceil(size / 4) * 4;
}
