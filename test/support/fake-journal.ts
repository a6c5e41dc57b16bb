import { fstatSync, readSync } from 'node:fs';
import { bind, close, isSealed, ReceiveBuffer, SOCK_DGRAM, unixSocket } from '@sdrx/linux';
import { readable } from './readable.js';

/** A field as it was sent. */
export type ReceivedField = readonly [name: string, value: Buffer];

/** An entry as it was sent, and how: by a file in memory, or as a datagram. */
export interface ReceivedEntry {
  readonly fields: readonly ReceivedField[];
  readonly byFile: boolean;
}

/** The receiving end of the journal's native protocol, bound to a path or `@abstract` name. */
export class FakeJournal implements Disposable {
  readonly #socket = unixSocket(SOCK_DGRAM);
  readonly #buffer = new ReceiveBuffer(1024 * 1024);

  constructor(readonly address: string) {
    bind(this.#socket.number, address);
  }

  /** The next entry, or undefined if there is none now. */
  read(): ReceivedEntry | undefined {
    const fds: number[] = [];
    const size = this.#buffer.receive(this.#socket.number, fds);
    if (size === undefined) return undefined;
    const [file] = fds;
    if (file === undefined) return { fields: decodeEntry(this.#buffer.bytes.subarray(0, size)), byFile: false };
    try {
      if (size !== 0 || fds.length !== 1 || !isSealed(file)) throw new Error('not a sealed file alone');
      const bytes = Buffer.alloc(fstatSync(file).size);
      for (let at = 0; at < bytes.length; ) at += readSync(file, bytes, at, bytes.length - at, at);
      return { fields: decodeEntry(bytes), byFile: true };
    } finally {
      fds.forEach(close);
    }
  }

  /** The next entry, which is there. */
  take(): ReceivedEntry {
    const entry = this.read();
    if (entry === undefined) throw new Error('no entry was sent');
    return entry;
  }

  /** The same with fields that come once each, as text. */
  takeText(): Readonly<Record<string, string>> {
    return textOf(this.take());
  }

  /** Waits for the next entry. */
  async next(): Promise<ReceivedEntry> {
    await readable(this.#socket.number);
    return this.take();
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

/** An entry as an object, of which each field comes once, as text. */
export function textOf({ fields }: ReceivedEntry): Readonly<Record<string, string>> {
  return Object.fromEntries(fields.map(([name, value]) => [name, value.toString()]));
}

/** Reads an entry as systemd's journal does. Throws for what that one would throw away. */
export function decodeEntry(bytes: Buffer): ReceivedField[] {
  const fields: ReceivedField[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = bytes.indexOf('\n', at);
    if (end === -1) throw new Error('a line without an end');
    const line = bytes.subarray(at, end);
    const equals = line.indexOf('=');
    const name = (equals === -1 ? line : line.subarray(0, equals)).toString('latin1');
    if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(name)) throw new Error(`no field can be called '${name}'`);
    if (equals !== -1) {
      fields.push([name, Buffer.from(line.subarray(equals + 1))]);
      at = end + 1;
      continue;
    }
    const length = Number(bytes.readBigUInt64LE(end + 1));
    const value = bytes.subarray(end + 9, end + 9 + length);
    if (value.length !== length || bytes[end + 9 + length] !== 0x0a) throw new Error(`${name} is cut short`);
    fields.push([name, Buffer.from(value)]);
    at = end + 9 + length + 1;
  }
  return fields;
}
