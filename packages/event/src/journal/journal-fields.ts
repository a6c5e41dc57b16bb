import { checkObject, outOfRange, wrongKind } from '@sdrx/linux';

/** What a field may hold. Bytes go as they are. */
export type JournalValue = string | number | bigint | boolean | Uint8Array;

/**
 * The fields of an entry. systemd.journal-fields(7) has those that everybody knows; others are one's own.
 *
 * A name has 1 to 64 capital letters, digits and `_`, and begins with a letter: what begins with `_` only the journal itself may
 * set. An array is a field that comes several times, and what is undefined is left out.
 */
export interface JournalFields {
  /** A field by its name. `MESSAGE_ID` is a UUID, with dashes or without. */
  readonly [name: Uppercase<string>]: JournalValue | readonly JournalValue[] | undefined;
}

/** The most fields of an entry: systemd throws away one that has more than 1024, its own ones included. */
const MOST_FIELDS = 1000;

const NAME = /^[A-Z][A-Z0-9_]{0,63}$/;

/** 128 bits, as of uuid(3) or sd-id128(3). */
const UUID = /^[0-9a-f]{8}(-?)[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{4}\1[0-9a-f]{12}$/i;

const NEWLINE = 0x0a;
const EQUALS = Buffer.from('=');
const LINE_END = Buffer.from('\n');

/**
 * Throws unless these can be fields of an entry.
 * @param reserved names that the caller sets itself
 */
export function checkJournalFields(fields: JournalFields, reserved: readonly string[] = []): void {
  checkObject('fields', fields);
  let count = 0;
  for (const [name, value] of Object.entries(fields)) {
    if (!NAME.test(name)) {
      throw outOfRange('fields', 'named by 1 to 64 of A-Z, 0-9 and _, with a letter first', name);
    }
    if (reserved.includes(name))
      throw outOfRange('fields', `without ${reserved.join(', ')}, which are set already`, name);
    for (const item of valuesOf(value)) {
      checkValue(`fields.${name}`, item);
      if (++count > MOST_FIELDS)
        throw outOfRange('fields', `${MOST_FIELDS} fields at most`, Object.keys(fields).length);
      if (name === 'MESSAGE_ID' && !UUID.test(String(item))) throw outOfRange(`fields.${name}`, 'a UUID', item);
    }
  }
}

/**
 * An entry as the journal's native protocol has it: a line `NAME=value` for a field, or where the value has a line break the
 * name, its length and its bytes. https://systemd.io/JOURNAL_NATIVE_PROTOCOL
 * @param fields that were checked
 */
export function encodeEntry(fields: JournalFields): Buffer {
  const parts: Uint8Array[] = [];
  for (const [name, value] of Object.entries(fields)) {
    for (const item of valuesOf(value)) parts.push(...encodeField(name, bytesOf(name, item)));
  }
  return Buffer.concat(parts);
}

function encodeField(name: string, value: Uint8Array): Uint8Array[] {
  if (!value.includes(NEWLINE)) return [Buffer.from(name), EQUALS, value, LINE_END];
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(value.byteLength));
  return [Buffer.from(`${name}\n`), length, value, LINE_END];
}

function bytesOf(name: string, value: JournalValue): Uint8Array {
  if (value instanceof Uint8Array) return value;
  // The form in which journalctl looks for it.
  return Buffer.from(name === 'MESSAGE_ID' ? String(value).replaceAll('-', '').toLowerCase() : String(value));
}

function valuesOf(value: JournalFields[Uppercase<string>]): readonly JournalValue[] {
  if (value === undefined) return [];
  return isList(value) ? value : [value];
}

function isList(value: JournalValue | readonly JournalValue[]): value is readonly JournalValue[] {
  return Array.isArray(value);
}

function checkValue(name: string, value: unknown): void {
  if (['string', 'number', 'bigint', 'boolean'].includes(typeof value) || value instanceof Uint8Array) return;
  throw wrongKind(name, 'text, a number, true or false, or bytes', value);
}
