import type { EventLoop } from '@sdrx/event';
import {
  connect,
  EACCES,
  EAGAIN,
  ECONNRESET,
  EPOLLIN,
  EPOLLOUT,
  EPROTO,
  type Fd,
  read,
  SystemError,
  sendMessage,
  unixSocket,
} from '@sdrx/linux';
import { Observable, type Subscriber, type Unsubscribable } from 'rxjs';
import { BusError } from './bus-error.js';
import { type Answer, decodeAnswer, encodeCall, HEAD_SIZE, type MethodCall, messageSize } from './message.js';
import { MalformedMessageError } from './wire-reader.js';

/** A longer message is skipped: what we ask for is answered in less, and anyone on the bus may send us signals. In bytes. */
const LONGEST_MESSAGE = 64 * 1024;

/** How many messages wait for the bus to take them, at most. */
const MOST_UNSENT = 256;

/** How many lines the bus says before it takes messages: that it knows us, and that descriptors can be passed. */
const GREETING_LINES = 2;

/** The longest of them, in bytes. */
const LONGEST_LINE = 1024;

/** How much is read at once, in bytes, and how often before others have their turn. */
const READ_SIZE = 16 * 1024;
const READS_A_TURN = 16;

const BUS = { destination: 'org.freedesktop.DBus', path: '/org/freedesktop/DBus', interface: 'org.freedesktop.DBus' };

const HELLO: MethodCall = { ...BUS, member: 'Hello', signature: '', write: () => {} };

export interface BusCallOptions {
  /** Descriptors that go with the call, which is their owner: they are closed once it is sent, or will not be any more. */
  readonly fds?: readonly Fd[];
  /** What is called, without waiting for an answer, when the call is unsubscribed from that was sent and not answered. */
  readonly cancel?: MethodCall;
}

/** A message on its way. */
interface Outgoing {
  bytes: Buffer;
  readonly fds: readonly Fd[];
  /** Whether the bus has a part of it. */
  begun: boolean;
}

/**
 * A connection with a message bus: says who we are, calls methods, and gives each answer to who waits for it. Signals and calls that
 * come are not for us, and dropped. D-Bus Specification, "Authentication Protocol", "Message Protocol"
 */
export class BusConnection implements Disposable {
  readonly #loop: EventLoop;
  readonly #socket: Fd;
  readonly #waiting = new Map<number, Subscriber<Answer>>();
  readonly #unsent: Outgoing[] = [];
  readonly #buffer = Buffer.allocUnsafe(READ_SIZE);
  #received: Buffer = Buffer.alloc(0);
  /** How much of a message that is too long is still to come, in bytes. */
  #toSkip = 0;
  #greetingLines = 0;
  /** Whether the bus has given us a name. Before that it does not take descriptors. */
  #ready = false;
  #serial = 0;
  #events = 0;
  #watch: Unsubscribable | undefined;
  #closed: Error | undefined;

  /** @param address a path, or `@` and an abstract name. Throws as `connect`. */
  constructor(loop: EventLoop, address: string) {
    this.#loop = loop;
    this.#socket = unixSocket();
    try {
      connect(this.#socket.number, address);
    } catch (error) {
      this.#socket.close();
      throw error;
    }
    const user = Buffer.from(String(process.geteuid?.())).toString('hex');
    this.#send(Buffer.from(`\0AUTH EXTERNAL ${user}\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n`));
    this.call(HELLO).subscribe({
      next: () => {
        this.#ready = true;
        this.#flush();
      },
      error: (error) => this.#close(error),
    });
  }

  /** Whether no call can be made any more. */
  get closed(): boolean {
    return this.#closed !== undefined;
  }

  /**
   * Calls a method when it is subscribed to. Emits the answer; fails with a BusError that it is, EAGAIN when too much waits to be
   * sent, and with what ended the connection. To unsubscribe is not to wait any more.
   */
  call(call: MethodCall, { fds = [], cancel }: BusCallOptions = {}): Observable<Answer> {
    return new Observable((subscriber) => {
      const refuse = (error: Error) => {
        for (const fd of fds) fd.close();
        subscriber.error(error);
      };
      if (this.#closed !== undefined) return refuse(this.#closed);
      if (this.#unsent.length >= MOST_UNSENT) return refuse(new SystemError(EAGAIN, 'sendmsg', 'message bus'));
      const serial = this.#nextSerial();
      this.#waiting.set(serial, subscriber);
      const outgoing = this.#send(encodeCall(call, serial, fds.length), fds);
      return () => {
        // Else it was answered, or the connection has ended.
        if (!this.#waiting.delete(serial)) return;
        if (this.#isUnsent(outgoing)) this.#withdraw(outgoing);
        else if (cancel !== undefined && this.#unsent.length < MOST_UNSENT) {
          this.#send(encodeCall({ ...cancel, oneway: true }, this.#nextSerial(), 0));
        }
      };
    });
  }

  [Symbol.dispose](): void {
    this.#close(new SystemError(ECONNRESET, 'read', 'message bus'));
  }

  #nextSerial(): number {
    // Never 0.
    this.#serial = (this.#serial % 0xffff_ffff) + 1;
    return this.#serial;
  }

  #send(bytes: Buffer, fds: readonly Fd[] = []): Outgoing {
    const outgoing = { bytes, fds, begun: false };
    this.#unsent.push(outgoing);
    this.#flush();
    return outgoing;
  }

  #isUnsent(outgoing: Outgoing): boolean {
    return !outgoing.begun && this.#unsent.includes(outgoing);
  }

  #withdraw(outgoing: Outgoing): void {
    this.#unsent.splice(this.#unsent.indexOf(outgoing), 1);
    for (const fd of outgoing.fds) fd.close();
    this.#wait();
  }

  /** Sends what the bus takes: until we have a name, how we introduce ourselves. */
  #flush(): void {
    if (this.#closed !== undefined) return;
    try {
      for (let first = this.#unsent[0]; first !== undefined; first = this.#unsent[0]) {
        if (!this.#ready && first.fds.length > 0) break;
        const sent = sendMessage(this.#socket.number, first.bytes, { fds: first.fds.map(({ number }) => number) });
        if (sent === undefined) break;
        first.begun = true;
        for (const fd of first.fds) fd.close();
        first.bytes = first.bytes.subarray(sent);
        if (first.bytes.length > 0) break;
        this.#unsent.shift();
      }
      this.#wait();
    } catch (error) {
      this.#close(error);
    }
  }

  #wait(): void {
    if (this.#closed !== undefined) return;
    const [first] = this.#unsent;
    const blocked = first !== undefined && (this.#ready || first.fds.length === 0);
    const events = EPOLLIN | (blocked ? EPOLLOUT : 0);
    if (events === this.#events) return;
    this.#events = events;
    this.#watch?.unsubscribe();
    this.#watch = this.#loop.io(this.#socket.number, { events, description: 'message bus' }).subscribe({
      next: ({ revents }) => {
        if ((revents & EPOLLOUT) !== 0) this.#flush();
        if ((revents & ~EPOLLOUT) !== 0) this.#read();
      },
      error: (error) => this.#close(error),
      complete: () => this[Symbol.dispose](),
    });
  }

  /** By read(2), so that descriptors that somebody sends us never become ours. */
  #read(): void {
    try {
      for (let reads = 0; reads < READS_A_TURN && this.#closed === undefined; reads++) {
        const count = read(this.#socket.number, this.#buffer);
        if (count === undefined) return;
        if (count === 0) throw new SystemError(ECONNRESET, 'read', 'message bus');
        this.#take(this.#buffer.subarray(0, count));
      }
    } catch (error) {
      this.#close(error);
    }
  }

  #take(bytes: Buffer): void {
    const skipped = Math.min(this.#toSkip, bytes.length);
    this.#toSkip -= skipped;
    this.#received = Buffer.concat([this.#received, bytes.subarray(skipped)]);
    while (this.#greetingLines < GREETING_LINES) if (!this.#takeLine()) return;
    while (this.#takeMessage());
  }

  /** @returns whether there was one */
  #takeLine(): boolean {
    const end = this.#received.indexOf('\r\n');
    const longest = end < 0 ? this.#received.length : end;
    if (longest > LONGEST_LINE) throw new SystemError(EPROTO, 'read', 'message bus');
    if (end < 0) return false;
    const [word = ''] = this.#received.toString('latin1', 0, end).split(' ', 1);
    this.#received = this.#received.subarray(end + 2);
    if (word === 'REJECTED') throw new SystemError(EACCES, 'connect', 'message bus');
    if (word !== (['OK', 'AGREE_UNIX_FD'] as const)[this.#greetingLines]) {
      throw new SystemError(EPROTO, 'read', 'message bus');
    }
    this.#greetingLines++;
    return true;
  }

  /** @returns whether there was one */
  #takeMessage(): boolean {
    const { length } = this.#received;
    if (this.#closed !== undefined || length < HEAD_SIZE) return false;
    const size = messageSize(this.#received);
    if (size > LONGEST_MESSAGE) {
      this.#toSkip = Math.max(0, size - length);
      this.#received = this.#received.subarray(Math.min(size, length));
      return this.#toSkip === 0;
    }
    if (length < size) return false;
    const message = this.#received.subarray(0, size);
    this.#received = this.#received.subarray(size);
    this.#deliver(message);
    return true;
  }

  #deliver(message: Buffer): void {
    let answer: Answer | undefined;
    try {
      answer = decodeAnswer(message);
    } catch (error) {
      if (!(error instanceof MalformedMessageError)) throw error;
    }
    const subscriber = answer && this.#waiting.get(answer.replySerial);
    if (answer === undefined || subscriber === undefined) return;
    this.#waiting.delete(answer.replySerial);
    if (answer.error === undefined) {
      subscriber.next(answer);
      subscriber.complete();
    } else {
      subscriber.error(new BusError(answer.error, textOf(answer)));
    }
  }

  #close(reason: unknown): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason instanceof Error ? reason : new Error(String(reason));
    this.#watch?.unsubscribe();
    this.#socket.close();
    for (const { fds } of this.#unsent.splice(0)) for (const fd of fds) fd.close();
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const subscriber of waiting) subscriber.error(this.#closed);
  }
}

/** What an error says, if it says anything. */
function textOf({ signature, body }: Answer): string {
  try {
    return signature.startsWith('s') ? body.string() : '';
  } catch (error) {
    if (error instanceof MalformedMessageError) return '';
    throw error;
  }
}
