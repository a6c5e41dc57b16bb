import { lookup } from 'node:dns/promises';
import {
  AF_INET,
  AF_INET6,
  AF_UNIX,
  connectAddress,
  type Fd,
  type InetAddress,
  makeSocket,
  O_NONBLOCK,
  read,
  SOCK_STREAM,
  sendNow,
  type UnixAddress,
} from '@sdrx/linux';

/** What the source needs of a connection. A test on a virtual loop has one of its own. */
export interface Connection extends Disposable {
  readonly number: number;
  /** @returns what has come, to be read before the next call; nothing at the end; undefined if nothing has come */
  read(): Buffer | undefined;
  /** @returns how many bytes were taken; undefined if none are now */
  write(bytes: Uint8Array): number | undefined;
}

export type BrokerAddress = UnixAddress | InetAddress;

const FAMILIES = { unix: AF_UNIX, inet: AF_INET, inet6: AF_INET6 };
const RECEIVE_SIZE = 65_536;

/** A connection by a socket that does not block. It begins to connect; whether that went well is told by reading and writing. */
export class SocketConnection implements Connection {
  readonly #fd: Fd;
  readonly #buffer = Buffer.alloc(RECEIVE_SIZE);

  /** Throws what connect(2) fails with. */
  constructor(address: BrokerAddress) {
    this.#fd = makeSocket(FAMILIES[address.family], SOCK_STREAM | O_NONBLOCK);
    try {
      connectAddress(this.#fd.number, address);
    } catch (error) {
      this.#fd.close();
      throw error;
    }
  }

  get number(): number {
    return this.#fd.number;
  }

  read(): Buffer | undefined {
    const size = read(this.#fd.number, this.#buffer);
    return size === undefined ? undefined : this.#buffer.subarray(0, size);
  }

  write(bytes: Uint8Array): number | undefined {
    return sendNow(this.#fd.number, bytes);
  }

  [Symbol.dispose](): void {
    this.#fd.close();
  }
}

/** Reads `unix:PATH`, `unix:@NAME` or `tcp:HOST:PORT`, and asks for the host. Throws TypeError, and ENOTFOUND and its like. */
export async function brokerAddress(text: string): Promise<BrokerAddress> {
  const [, path, inBrackets, plain, port] = /^(?:unix:(.+)|tcp:(?:\[(.+)\]|([^:]+)):(\d{1,5}))$/.exec(text) ?? [];
  if (path !== undefined) return { family: 'unix', path };
  const name = inBrackets ?? plain;
  if (name === undefined || Number(port) > 0xffff) throw new TypeError(`'${text}' is no unix:PATH or tcp:HOST:PORT`);
  const { address, family } = await lookup(name);
  return { family: family === 4 ? 'inet' : 'inet6', host: address, port: Number(port) };
}
