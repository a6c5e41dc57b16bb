import { checkHead, MqttError, type Packet, readPacket } from './packets.js';

/** The longest length there can be has so many bytes. */
const LENGTH_SIZE = 4;

/** Cuts a stream of bytes, which come in any pieces, into packets. */
export class PacketReader {
  readonly #limit: number;
  #head: number | undefined;
  /** The bytes of its length, so far. */
  #lengthSize = 0;
  #length = 0;
  /** What follows the length, when that is known, and how much of it is there. */
  #body: Buffer | undefined;
  #filled = 0;

  /** @param limit how long a packet may be, in bytes: as much memory is taken for one, as soon as it says how long it is */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns the packets that these bytes complete. Throws MqttError. */
  *read(bytes: Buffer): Generator<Packet> {
    for (let at = 0; at < bytes.length; ) {
      if (this.#body === undefined) this.#takeByte(bytes.readUInt8(at++));
      if (this.#head === undefined || this.#body === undefined) continue;
      const count = bytes.copy(this.#body, this.#filled, at);
      at += count;
      this.#filled += count;
      if (this.#filled < this.#body.length) continue;
      const packet = readPacket(this.#head, this.#body);
      this.#head = this.#body = undefined;
      yield packet;
    }
  }

  /** Takes the first byte, or one of the length. */
  #takeByte(byte: number): void {
    if (this.#head === undefined) {
      checkHead(byte);
      this.#head = byte;
      this.#length = this.#lengthSize = this.#filled = 0;
      return;
    }
    this.#length += (byte & 0x7f) << (7 * this.#lengthSize++);
    if (this.#length > this.#limit) throw new MqttError(`the broker sends more than ${this.#limit} bytes at a time`);
    if ((byte & 0x80) === 0) this.#body = Buffer.alloc(this.#length);
    else if (this.#lengthSize === LENGTH_SIZE) throw new MqttError('the broker sends a malformed length');
  }
}
