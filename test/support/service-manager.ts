import { bind, Fd, NodePoll, ReceiveBuffer, SOCK_DGRAM, unixSocket } from '@sdrx/linux';
import type { Test } from 'tap';
import { Folder } from './folder.js';
import { within } from './within.js';

/** The longest that a notification may take, in milliseconds. */
const LIMIT = 60_000;

/** The receiving half of sd_notify(3): what services tell at the socket that their NOTIFY_SOCKET names. */
export class ServiceManager {
  readonly notifySocket: string;
  /** What came so far, one string a datagram. */
  readonly notifications: string[] = [];
  /** What came along with them, by FDNAME; kept until FDSTOREREMOVE. */
  readonly stored = new Map<string, Fd[]>();
  readonly #socket: Fd = unixSocket(SOCK_DGRAM);
  readonly #buffer = new ReceiveBuffer(4096);
  #arrived: (() => void)[] = [];

  constructor(t: Test) {
    const folder = new Folder();
    this.notifySocket = folder.join('notify');
    bind(this.#socket.number, this.notifySocket);
    const poll = new NodePoll(this.#socket.number, () => setImmediate(() => this.#receive()));
    t.teardown(() => {
      poll[Symbol.dispose]();
      this.#socket.close();
      for (const name of this.stored.keys()) this.#forget(name);
      folder[Symbol.dispose]();
    });
  }

  /** Waits for a datagram, one that came already included. */
  async waitFor(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.notifications.find((text) => pattern.test(text));
      if (found !== undefined) return found;
      await this.next(pattern);
    }
  }

  /** Waits until at least one more datagram has come. */
  next(what: RegExp | string = 'anything more'): Promise<void> {
    const complaint = () => `not told ${what}, but:\n${this.notifications.join('\n\n')}`;
    return within(LIMIT, complaint, new Promise((resolve) => this.#arrived.push(resolve)));
  }

  #receive(): void {
    if (this.#socket.number === -1) return;
    for (;;) {
      const fds: number[] = [];
      const count = this.#buffer.receive(this.#socket.number, fds);
      if (count === undefined) break;
      const text = this.#buffer.bytes.toString('utf8', 0, count);
      // As systemd does once it has dealt with all that came before.
      if (text === 'BARRIER=1') for (const fd of fds.splice(0)) new Fd(fd).close();
      const [, name = ''] = /^FDNAME=(.*)$/m.exec(text) ?? [];
      if (/^FDSTOREREMOVE=1$/m.test(text)) this.#forget(name);
      // That is all that a service manager does about it.
      if (text === 'BARRIER=1') for (const fd of fds.splice(0)) new Fd(fd).close();
      if (fds.length > 0) this.stored.set(name, [...(this.stored.get(name) ?? []), ...fds.map((fd) => new Fd(fd))]);
      if (text !== 'BARRIER=1') this.notifications.push(text);
      if (fds.length > 0 && !/^FDSTORE=1$/m.test(text)) throw new Error(`descriptors came along with ${text}`);
    }
    for (const resolve of this.#arrived.splice(0)) resolve();
  }

  #forget(name: string): void {
    for (const fd of this.stored.get(name) ?? []) fd.close();
    this.stored.delete(name);
  }
}
