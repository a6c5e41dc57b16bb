import { EAGAIN, EPOLLIN, type Fd, isSystemError, ReceiveBuffer, SystemError } from '@sdrx/linux';
import type { Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { RestartSystem } from './restart-system.js';

/** The longest message, in bytes. */
const LONGEST = 256 * 1024;

/** Where the kernel has no memory for a message, which stays, it is received later, in milliseconds, so often. */
const RETRY = 100;
const MOST_RETRIES = 10;

/** What came, with descriptors that are the receiver's. */
export interface Received {
  readonly message: Readonly<Record<string, unknown>>;
  readonly fds: readonly Fd[];
}

/**
 * A connection between the old process and the new one, over which JSON objects and descriptors go. A socket pair of the type
 * SOCK_SEQPACKET, whose end tells each that the other one is gone. unix(7)
 */
export class Channel implements Disposable {
  readonly #system: RestartSystem;
  readonly #fd: Fd;
  readonly #buffer = new ReceiveBuffer(LONGEST);
  readonly #queue: Received[] = [];
  #waiting: (() => void) | undefined;
  #ended = false;
  #failure: unknown;
  #subscription: Subscription | undefined;
  #retries = 0;
  #cancelRetry = () => {};

  /** Takes over the descriptor. */
  constructor(system: RestartSystem, fd: Fd) {
    this.#system = system;
    this.#fd = fd;
  }

  /** What of the other process's could not be read; undefined if its end was an end. */
  get failure(): unknown {
    return this.#failure;
  }

  /**
   * Sends a message.
   * @returns false if the other end is closed
   * @throws EAGAIN when the other one takes nothing, EMSGSIZE, ETOOMANYREFS
   */
  send(message: Readonly<Record<string, unknown>>, fds: readonly number[] = []): boolean {
    if (this.#fd.number === -1) return false;
    try {
      const sent = this.#system.send(this.#fd.number, Buffer.from(JSON.stringify(message)), fds);
      if (sent === undefined) throw new SystemError(EAGAIN, 'sendmsg', 'the other process');
      return true;
    } catch (error) {
      if (isSystemError(error, 'EPIPE', 'ECONNRESET')) return false;
      throw error;
    }
  }

  /** Takes what is there, without waiting. */
  readNow(): Received | undefined {
    if (this.#queue.length === 0) this.#read();
    return this.#queue.shift();
  }

  /** Takes in all that is there, also while it waits to try again: the other one has ended, and that may be told before what it has said. */
  readRest(): void {
    for (let count = -1; count < this.#queue.length && !this.#ended; ) {
      count = this.#queue.length;
      this.#read();
    }
  }

  /** Receives from now on, whenever the loop runs. */
  start(loop: EventLoop): void {
    this.#subscription = loop
      .io(this.#fd, { events: EPOLLIN, priority: -10, description: 'restart' })
      .subscribe({ next: () => this.#read(loop), error: () => this.#end() });
  }

  /** The next message; undefined at the end. Rejects with the reason of the signal once that is aborted. */
  async next(signal?: AbortSignal): Promise<Received | undefined> {
    const wake = () => this.#waiting?.();
    signal?.addEventListener('abort', wake, { once: true });
    try {
      while (this.#queue.length === 0 && !this.#ended) {
        signal?.throwIfAborted();
        await new Promise<void>((resolve) => {
          this.#waiting = resolve;
        });
      }
      return this.#queue.shift();
    } finally {
      signal?.removeEventListener('abort', wake);
    }
  }

  /** Closes this end. */
  [Symbol.dispose](): void {
    this.#end();
    for (const { fds } of this.#queue.splice(0)) for (const fd of fds) fd.close();
    this.#fd.close();
  }

  /** @param loop by which it is tried again; without one it is not */
  #read(loop?: EventLoop): void {
    const fds: number[] = [];
    try {
      const size = this.#receive(fds);
      if (size === undefined) return;
      if (size === 0) {
        this.#end();
        return;
      }
      const message: unknown = JSON.parse(this.#buffer.bytes.toString('utf8', 0, size));
      if (typeof message !== 'object' || message === null) throw new SyntaxError('a message must be an object');
      this.#retries = 0;
      this.#queue.push({
        message: message as Received['message'],
        fds: fds.splice(0).map((fd) => this.#system.takeFd(fd)),
      });
      this.#waiting?.();
    } catch (error) {
      if (loop !== undefined && isSystemError(error, 'ENOMEM', 'ENOBUFS') && this.#retries++ < MOST_RETRIES) {
        this.#subscription?.unsubscribe();
        this.#cancelRetry = this.#system.later(RETRY, () => this.start(loop));
        return;
      }
      // A part of a message is none, and after it nothing can be trusted.
      if (!isSystemError(error) && !(error instanceof SyntaxError)) throw error;
      this.#failure = error;
      this.#end();
    } finally {
      for (const fd of fds) this.#system.takeFd(fd).close();
    }
  }

  #receive(fds: number[]): number | undefined {
    if (this.#fd.number === -1) return 0;
    try {
      return this.#system.receive(this.#fd.number, this.#buffer, fds);
    } catch (error) {
      // The other one has ended, and had not read all. That is told once, before what it has said.
      if (!isSystemError(error, 'ECONNRESET')) throw error;
      return this.#system.receive(this.#fd.number, this.#buffer, fds);
    }
  }

  #end(): void {
    this.#ended = true;
    this.#cancelRetry();
    this.#subscription?.unsubscribe();
    this.#waiting?.();
  }
}
