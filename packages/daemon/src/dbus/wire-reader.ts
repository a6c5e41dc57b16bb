/** Bytes are not what they should be by the D-Bus Specification. */
export class MalformedMessageError extends Error {
  override readonly name = 'MalformedMessageError';
}

/** Reads what `WireWriter` writes, of either byte order. All of it throws MalformedMessageError. */
export class WireReader {
  readonly #bytes: Buffer;
  readonly #littleEndian: boolean;
  #at: number;

  /** @param start from where on to read; alignments count from the first byte */
  constructor(bytes: Buffer, littleEndian: boolean, start = 0) {
    this.#bytes = bytes;
    this.#littleEndian = littleEndian;
    this.#at = start;
  }

  /** Where the next value begins, before it is aligned. */
  get position(): number {
    return this.#at;
  }

  /** `y` */
  byte(): number {
    return this.#bytes.readUInt8(this.#take(1, 1));
  }

  /** `u` */
  uint32(): number {
    const at = this.#take(4, 4);
    return this.#littleEndian ? this.#bytes.readUInt32LE(at) : this.#bytes.readUInt32BE(at);
  }

  /** `b` */
  boolean(): boolean {
    const value = this.uint32();
    if (value > 1) throw new MalformedMessageError(`${value} is no boolean`);
    return value === 1;
  }

  /** `s`, and `o` */
  string(): string {
    return this.#text(this.uint32());
  }

  /** `g` */
  signature(): string {
    return this.#text(this.byte());
  }

  /** Goes on at a multiple of so many bytes. */
  align(alignment: number): void {
    this.#take(0, alignment);
  }

  #text(length: number): string {
    const start = this.#take(length + 1, 1);
    if (this.#bytes[start + length] !== 0) throw new MalformedMessageError('a text does not end with NUL');
    return this.#bytes.toString('utf8', start, start + length);
  }

  #take(count: number, alignment: number): number {
    const start = Math.ceil(this.#at / alignment) * alignment;
    if (start + count > this.#bytes.length) throw new MalformedMessageError('a message ends too early');
    this.#at = start + count;
    return start;
  }
}
