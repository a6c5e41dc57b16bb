import { checkText, wrongKind } from '../arguments.js';
import { EINVAL } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { addressOf, allocate } from './libc.js';

/**
 * `text`, for a call that takes a C string. C reads up to the first NUL, so one inside would silently name something else.
 * @throws EINVAL for it, on behalf of `syscall`
 */
export function cString(text: string, syscall: string): string {
  checkText('text', text);
  checkText('syscall', syscall);
  if (text.includes('\0')) throw new SystemError(EINVAL, syscall, printable(text));
  return text;
}

/** As `cString`, but for text that may be bytes, which need not be UTF-8: those of a file's name, for a call that takes `void *`. */
export function cBytes(text: string | Uint8Array, syscall: string): Buffer {
  if (typeof text !== 'string' && !(text instanceof Uint8Array)) throw wrongKind('text', 'a string or bytes', text);
  checkText('syscall', syscall);
  if (typeof text === 'string') return Buffer.from(`${cString(text, syscall)}\0`);
  if (text.includes(0)) throw new SystemError(EINVAL, syscall, printable(text));
  return Buffer.concat([text, Buffer.of(0)]);
}

/** For the messages of errors. */
export function printable(text: string | Uint8Array): string {
  return (typeof text === 'string' ? text : Buffer.from(text).toString()).replaceAll('\0', '\\0');
}

/**
 * A list of strings as C has it, an array of pointers that a null pointer ends, with what they point to in the same memory.
 * @throws as `cString`
 */
export function cStrings(texts: readonly string[], syscall: string): Buffer {
  let size = 8 * (texts.length + 1);
  for (const text of texts) size += Buffer.byteLength(cString(text, syscall)) + 1;
  const list = allocate(size);
  const address = addressOf(list);
  let at = 8 * (texts.length + 1);
  for (const [index, text] of texts.entries()) {
    list.writeBigUInt64LE(address + BigInt(at), 8 * index);
    // What follows is zero already.
    at += list.write(text, at) + 1;
  }
  return list;
}
