/** The broker does not keep to the protocol, or refuses. */
export class MqttError extends Error {
  override readonly name = 'MqttError';
}

/** What somebody has published. */
export interface MqttMessage {
  readonly topic: string;
  readonly payload: Buffer;
  /** It was published before, and kept for those who come later. */
  readonly retain: boolean;
  /** By which it is acknowledged: of a message that comes at least once (QoS 1). */
  readonly id: number | undefined;
}

/** What a broker sends to who only subscribes. MQTT 3.1.1, chapter 3 */
export type Packet =
  | { readonly type: 'connack' }
  | { readonly type: 'suback'; readonly refused: readonly boolean[] }
  | { readonly type: 'publish'; readonly message: MqttMessage }
  | { readonly type: 'pingresp' };

const CONNECT = 0x10;
const CONNACK = 0x20;
const PUBLISH = 0x30;
const PUBACK = 0x40;
const SUBSCRIBE = 0x82;
const SUBACK = 0x90;
const PINGREQ = 0xc0;
const PINGRESP = 0xd0;

const PROTOCOL_LEVEL = 4;
const CLEAN_SESSION = 0x02;
const SUBSCRIBE_ID = 1;
const REFUSED = 0x80;

/** Why a broker refuses a connection, by the number that it gives. */
const REASONS = ['', 'the protocol', 'the name', 'all, for now', 'the user or the password', 'who is not authorized'];

export const pingreq = Buffer.from([PINGREQ, 0]);

/** @param keepAlive in seconds: how long the broker is to wait for a sign of life from us, at least */
export function connect(keepAlive: number): Buffer {
  // Without a name the broker makes one up. It forgets us when we go.
  return packet(CONNECT, text('MQTT'), Buffer.from([PROTOCOL_LEVEL, CLEAN_SESSION]), uint16(keepAlive), text(''));
}

/** Throws TypeError for what is no filter of topics. */
export function subscribe(topics: readonly string[], qos: 0 | 1): Buffer {
  if (topics.length === 0) throw new TypeError('there must be a topic to subscribe to');
  for (const topic of topics) {
    if (topic === '' || topic.includes('\0') || Buffer.byteLength(topic) > 0xffff)
      throw new TypeError(`'${topic}' is no filter of topics`);
  }
  const filters = topics.flatMap((topic) => [text(topic), Buffer.from([qos])]);
  return packet(SUBSCRIBE, uint16(SUBSCRIBE_ID), ...filters);
}

export function puback(id: number): Buffer {
  return packet(PUBACK, uint16(id));
}

/** Throws MqttError for a first byte that no packet has which is meant for us. */
export function checkHead(head: number): void {
  if (head !== CONNACK && head !== SUBACK && head !== PINGRESP && (head & 0xf0) !== PUBLISH)
    throw new MqttError(`the broker sends what it must not, 0x${head.toString(16)}`);
}

/** Reads a packet by its first byte, which was checked, and what follows its length. Throws MqttError. */
export function readPacket(head: number, body: Buffer): Packet {
  switch (head) {
    case CONNACK:
      return readConnack(body);
    case SUBACK:
      if (body.length < 3 || body.readUInt16BE(0) !== SUBSCRIBE_ID) throw malformed('SUBACK');
      return { type: 'suback', refused: [...body.subarray(2)].map((code) => code === REFUSED) };
    case PINGRESP:
      if (body.length !== 0) throw malformed('PINGRESP');
      return { type: 'pingresp' };
    default:
      return { type: 'publish', message: readMessage(head, body) };
  }
}

function readConnack(body: Buffer): Packet {
  const [flags, code] = body;
  if (body.length !== 2 || flags !== 0 || code === undefined) throw malformed('CONNACK');
  if (code !== 0) throw new MqttError(`the broker refuses ${REASONS[code] ?? `us, for reason ${code}`}`);
  return { type: 'connack' };
}

function readMessage(head: number, body: Buffer): MqttMessage {
  const qos = (head >> 1) & 3;
  const topicEnd = 2 + (body.length < 2 ? 0 : body.readUInt16BE(0));
  const end = topicEnd + (qos === 0 ? 0 : 2);
  if (qos > 1 || end > body.length) throw malformed('PUBLISH');
  const topic = body.toString('utf8', 2, topicEnd);
  const id = qos === 0 ? undefined : body.readUInt16BE(topicEnd);
  if (topic === '' || /[+#\0]/.test(topic) || id === 0) throw malformed('PUBLISH');
  return { topic, payload: body.subarray(end), retain: (head & 1) !== 0, id };
}

function malformed(what: string): MqttError {
  return new MqttError(`the broker sends a malformed ${what}`);
}

function packet(head: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([head, ...lengthOf(body)]), body]);
}

/** Seven bits a byte, the lowest first; the eighth says that another byte follows. */
function lengthOf({ length }: Buffer): number[] {
  const bytes: number[] = [];
  for (let rest = length; ; rest >>= 7) {
    if (rest < 0x80) return [...bytes, rest];
    bytes.push((rest & 0x7f) | 0x80);
  }
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([uint16(bytes.length), bytes]);
}

function uint16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}
