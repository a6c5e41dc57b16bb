import { ProtocolError } from './protocol.js';

/** Takes the fields of a message one after another; numbers are big-endian, as everywhere in the protocol. */
export class Fields {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u16(): number {
    return this.bytes(2).readUInt16BE();
  }

  u32(): number {
    return this.bytes(4).readUInt32BE();
  }

  u64(): bigint {
    return this.bytes(8).readBigUInt64BE();
  }

  /** Throws ProtocolError where the message is shorter. */
  bytes(size: number): Buffer {
    const end = this.#at + size;
    if (end > this.#bytes.length) throw new ProtocolError('a message is shorter than its fields');
    const part = this.#bytes.subarray(this.#at, end);
    this.#at = end;
    return part;
  }

  /** As many of them as a client says, who may not have sent that many. */
  list<T>(count: number, take: () => T): T[] {
    const items: T[] = [];
    while (items.length < count) items.push(take());
    return items;
  }

  /** Throws ProtocolError where the message is longer. */
  end(): void {
    if (this.#at < this.#bytes.length) throw new ProtocolError('a message is longer than its fields');
  }
}

export function u16(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export function u64(value: number | bigint): Buffer {
  const bytes = Buffer.allocUnsafe(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}
