import { MalformedMessageError, WireReader } from './wire-reader.js';
import { WireWriter } from './wire-writer.js';

/** The part of each message's header that has always the same length. */
export const HEAD_SIZE = 16;

const METHOD_CALL = 1;
const METHOD_RETURN = 2;
const ERROR = 3;

/** The caller takes no answer. */
const NO_REPLY_EXPECTED = 1;

/** Nobody is started for it. */
const NO_AUTO_START = 2;

const PROTOCOL_VERSION = 1;

/** Fields of the header, by their codes. */
const PATH = 1;
const INTERFACE = 2;
const MEMBER = 3;
const ERROR_NAME = 4;
const REPLY_SERIAL = 5;
const DESTINATION = 6;
const SIGNATURE = 8;
const UNIX_FDS = 9;

const LITTLE_ENDIAN = 0x6c;
const BIG_ENDIAN = 0x42;

/** What is called, and with what. */
export interface MethodCall {
  readonly destination: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  /** The types of its arguments. */
  readonly signature: string;
  /** Writes them. */
  readonly write: (body: WireWriter) => void;
  /** Whether nobody waits for an answer, and it is of no use to one who does not run. */
  readonly oneway?: boolean;
}

/** An answer to a call. */
export interface Answer {
  /** The number of the call. */
  readonly replySerial: number;
  /** The name of the error that it is; undefined for one that is none. */
  readonly error: string | undefined;
  /** The types of its values. */
  readonly signature: string;
  /** Its values. */
  readonly body: WireReader;
}

/** @param serial by which the answer names it, not 0 @param fdCount how many descriptors go with it */
export function encodeCall(call: MethodCall, serial: number, fdCount: number): Buffer {
  const body = new WireWriter();
  call.write(body);
  const message = new WireWriter();
  const field = (code: number, signature: string, write: () => void) =>
    message.struct(() => message.byte(code).variant(signature, write));
  message.byte(LITTLE_ENDIAN).byte(METHOD_CALL);
  message.byte(call.oneway === true ? NO_REPLY_EXPECTED | NO_AUTO_START : 0).byte(PROTOCOL_VERSION);
  message.uint32(body.bytes.length).uint32(serial);
  message.array(8, () => {
    field(PATH, 'o', () => message.string(call.path));
    field(INTERFACE, 's', () => message.string(call.interface));
    field(MEMBER, 's', () => message.string(call.member));
    field(DESTINATION, 's', () => message.string(call.destination));
    if (call.signature !== '') field(SIGNATURE, 'g', () => message.signature(call.signature));
    if (fdCount > 0) field(UNIX_FDS, 'u', () => message.uint32(fdCount));
  });
  message.align(8);
  return Buffer.concat([message.bytes, body.bytes]);
}

/**
 * How long a message is, by its first `HEAD_SIZE` bytes.
 * Throws MalformedMessageError: nobody knows where the next one begins then.
 */
export function messageSize(head: Buffer): number {
  const version = head[3];
  if (version !== PROTOCOL_VERSION) throw new MalformedMessageError(`${version} is no version of the protocol`);
  const reader = new WireReader(head, isLittleEndian(head), 4);
  const body = reader.uint32();
  reader.uint32();
  return HEAD_SIZE + Math.ceil(reader.uint32() / 8) * 8 + body;
}

/** @returns undefined for a message that answers nothing. Throws MalformedMessageError: that one only is lost. */
export function decodeAnswer(message: Buffer): Answer | undefined {
  const type = message[1];
  if (type !== METHOD_RETURN && type !== ERROR) return undefined;
  const littleEndian = isLittleEndian(message);
  const reader = new WireReader(message, littleEndian, 12);
  const end = HEAD_SIZE + reader.uint32();
  let [replySerial, signature]: [number | undefined, string] = [undefined, ''];
  let error: string | undefined;
  while (reader.position < end) {
    reader.align(8);
    const code = reader.byte();
    const value = fieldValue(reader);
    if (code === REPLY_SERIAL && typeof value === 'number') replySerial = value;
    if (code === ERROR_NAME && typeof value === 'string') error = value;
    if (code === SIGNATURE && typeof value === 'string') signature = value;
  }
  if (replySerial === undefined || (error === undefined) !== (type === METHOD_RETURN)) {
    throw new MalformedMessageError('an answer lacks a field');
  }
  return { replySerial, error, signature, body: new WireReader(message, littleEndian, Math.ceil(end / 8) * 8) };
}

/** Those that there are have one of these types. */
function fieldValue(reader: WireReader): string | number {
  const signature = reader.signature();
  switch (signature) {
    case 's':
    case 'o':
      return reader.string();
    case 'g':
      return reader.signature();
    case 'u':
      return reader.uint32();
    default:
      throw new MalformedMessageError(`a field of the header is of type '${signature}'`);
  }
}

function isLittleEndian(message: Buffer): boolean {
  const order = message[0];
  if (order !== LITTLE_ENDIAN && order !== BIG_ENDIAN) throw new MalformedMessageError(`${order} is no byte order`);
  return order === LITTLE_ENDIAN;
}
