/** How many bytes a message of ours has room for at first. */
const ROOM = 512;

/**
 * Writes values one after another as D-Bus has them in messages, least byte first. Each kind begins at a multiple of its own
 * alignment. D-Bus Specification, "Marshaling"
 */
export class WireWriter {
  #bytes = Buffer.alloc(ROOM);
  #length = 0;

  /** What was written so far. */
  get bytes(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  /** `y` */
  byte(value: number): this {
    this.#bytes.writeUInt8(value, this.#take(1, 1));
    return this;
  }

  /** `u`, and `h`, the place of a descriptor among those that go with the message. */
  uint32(value: number): this {
    this.#bytes.writeUInt32LE(value, this.#take(4, 4));
    return this;
  }

  /** `i` */
  int32(value: number): this {
    this.#bytes.writeInt32LE(value, this.#take(4, 4));
    return this;
  }

  /** `t` */
  uint64(value: bigint): this {
    this.#bytes.writeBigUInt64LE(value, this.#take(8, 8));
    return this;
  }

  /** `s`, and `o`, the path of an object. Throws RangeError for a text with NUL. */
  string(value: string): this {
    if (value.includes('\0')) throw new RangeError('a text with NUL can not be sent over D-Bus');
    const length = Buffer.byteLength(value);
    this.uint32(length);
    this.#bytes.write(value, this.#take(length + 1, 1));
    return this;
  }

  /** `g` */
  signature(value: string): this {
    this.byte(value.length);
    this.#bytes.write(value, this.#take(value.length + 1, 1), 'latin1');
    return this;
  }

  /** A struct, or one of the entries of a dictionary. */
  struct(write: () => void): this {
    this.align(8);
    write();
    return this;
  }

  /** `v` @param write writes one value that is of the signature */
  variant(signature: string, write: () => void): this {
    this.signature(signature);
    write();
    return this;
  }

  /** An array. @param alignment of its elements */
  array(alignment: number, write: () => void): this {
    this.uint32(0);
    const length = this.#length - 4;
    this.align(alignment);
    const start = this.#length;
    write();
    this.#bytes.writeUInt32LE(this.#length - start, length);
    return this;
  }

  /** Goes on at a multiple of so many bytes. */
  align(alignment: number): void {
    this.#take(0, alignment);
  }

  /** @returns where so many bytes are to be put; what lies before is zero */
  #take(count: number, alignment: number): number {
    const start = Math.ceil(this.#length / alignment) * alignment;
    this.#length = start + count;
    if (this.#length > this.#bytes.length) {
      this.#bytes = Buffer.concat([this.#bytes, Buffer.alloc(Math.max(this.#bytes.length, count + alignment))]);
    }
    return start;
  }
}
