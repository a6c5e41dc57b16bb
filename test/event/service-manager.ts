import { bind, Fd, ReceiveBuffer, SOCK_DGRAM, unixSocket } from '@sdrx/linux';
import { readable } from '../support/readable.js';

export interface Received {
  readonly lines: readonly string[];
  readonly fds: readonly Fd[];
}

/** The receiving end of sd_notify(3), bound to a path or `@abstract` name. */
export class ServiceManager implements Disposable {
  readonly #socket = unixSocket(SOCK_DGRAM);
  readonly #buffer: ReceiveBuffer;

  /** @param longest message that it can take, in bytes */
  constructor(
    readonly address: string,
    longest = 65_536,
  ) {
    this.#buffer = new ReceiveBuffer(longest);
    bind(this.#socket.number, address);
  }

  /** The next message, or undefined if there is none now. The descriptors are the caller's. */
  read(): Received | undefined {
    const fds: number[] = [];
    const size = this.#buffer.receive(this.#socket.number, fds);
    if (size === undefined) return undefined;
    const text = this.#buffer.bytes.toString('utf8', 0, size);
    return { lines: text.split('\n'), fds: fds.map((fd) => new Fd(fd)) };
  }

  /** Waits for the next message. */
  async next(): Promise<Received> {
    await readable(this.#socket.number);
    const received = this.read();
    if (received === undefined) throw new Error('readable without a message');
    return received;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}
