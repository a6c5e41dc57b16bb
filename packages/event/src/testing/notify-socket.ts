import { randomBytes } from 'node:crypto';
import { notify } from '@sdrx/event';
import { bind, close, type Fd, isSystemError, ReceiveBuffer, SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';

/** The longest message that systemd reads, in bytes: PIPE_BUF. */
const LONGEST = 4096;

/** How often it is tried to have all that waits: each time at least one message comes, and 256 may wait. */
const MOST_ROUNDS = 300;

/** What this socket is sent by its owner. */
const FILLER = 'X_SDRX_FILLER=1';
const MARK = 'X_SDRX_MARK=';

/** A message as it was received; the descriptors are the caller's. */
export interface ReceivedNotification {
  readonly text: string;
  readonly fds: readonly number[];
}

/**
 * Where a virtual service manager is told something: a real socket, to which `notify` writes as to any other's. What is told is
 * there when `notify` returns, so no time passes on its way, in whatever world.
 */
export class NotifySocket implements Disposable {
  /** What NOTIFY_SOCKET names it by. */
  readonly address = `@sdrx-virtual-${process.pid}-${randomBytes(8).toString('hex')}`;
  readonly #buffer = new ReceiveBuffer(LONGEST);
  #socket: Fd | undefined;

  /** From now on it can be written to. @throws EMFILE, ENFILE */
  open(): void {
    if (this.#socket !== undefined) return;
    const socket = unixSocket(SOCK_DGRAM);
    bind(socket.number, this.address);
    this.#socket = socket;
  }

  /** There is no such socket any more: who writes to it gets ECONNREFUSED. What was not read is lost. */
  close(): void {
    this.#socket?.close();
    this.#socket = undefined;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** Has no room from now on for anything, until it is read. */
  fill(): void {
    using socket = unixSocket(SOCK_DGRAM);
    const filler = Buffer.from(FILLER);
    while (sendMessage(socket.number, filler, { to: this.address }) !== undefined);
  }

  /** What has come, in order. */
  read(): ReceivedNotification[] {
    const received = this.#receive();
    // There was no room for more than a few, so others may wait in this process, and `notify` sends those before what is new: when a
    // mark comes, all before it has come.
    for (let round = 0; received.length > 0 && round < MOST_ROUNDS; round++) {
      if (process.env.NOTIFY_SOCKET !== this.address) break;
      notify({ X_SDRX_MARK: `${round}` });
      received.push(...this.#receive());
      if (received.at(-1)?.text === `${MARK}${round}`) break;
    }
    return received.filter(({ text }) => text !== FILLER && !text.startsWith(MARK));
  }

  #receive(): ReceivedNotification[] {
    const received: ReceivedNotification[] = [];
    if (this.#socket === undefined) return received;
    for (;;) {
      const fds: number[] = [];
      try {
        const size = this.#buffer.receive(this.#socket.number, fds);
        if (size === undefined) return received;
        received.push({ text: this.#buffer.bytes.toString('utf8', 0, size), fds });
      } catch (error) {
        for (const fd of fds) close(fd);
        // One that is too long is thrown away.
        if (!isSystemError(error, 'EMSGSIZE')) throw error;
      }
    }
  }
}
