import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fd, type PeerCredentials } from '@sdrx/linux';

/** A connection's descriptor, and what had been read from it. */
export interface TakenConnection {
  /** A connected, non-blocking stream socket. */
  readonly fd: Fd;
  /** What the other side has sent after its message and was read with that: the first bytes of the other protocol. */
  readonly head: Buffer;
}

/**
 * A connection that speaks another protocol from now on, since a call with `upgrade` was answered. It is a stream, by `stream`, or a
 * descriptor, by `takeFd`. Descriptors that come beside its first bytes are closed.
 *
 * It is closed when its stream is, when it is disposed of, and by the server at its end; one that was taken is closed by who has it.
 * varlink.org/Method-Call
 */
export class UpgradedConnection implements Disposable {
  readonly #fd: Fd;
  readonly #head: Buffer;
  readonly #left: (how: 'closed' | 'taken') => void;
  #stream: Socket | undefined;
  #over = false;

  /**
   * @param fd is ours from now on
   * @param head what was read after the last message
   * @param peer the process at the other end
   * @param left is told once when the connection is closed, or somebody else's
   */
  constructor(
    fd: Fd,
    head: Buffer,
    readonly peer: PeerCredentials | undefined,
    left: (how: 'closed' | 'taken') => void,
  ) {
    this.#fd = fd;
    this.#head = head;
    this.#left = left;
  }

  /**
   * The connection as one of Node's streams, the same one each time. Each side can be ended alone. It is closed with the
   * connection. An error such as ECONNRESET is its 'error' event, as always, but ends nobody who does not listen for it: the other
   * side may leave at any moment.
   * @throws Error when the connection was closed or taken
   */
  stream(): Duplex {
    if (this.#stream !== undefined) return this.#stream;
    this.#requireHere();
    const stream = new Socket({ fd: this.#fd.number, readable: true, writable: true, allowHalfOpen: true });
    this.#fd.take();
    this.#stream = stream;
    if (this.#head.length > 0) stream.unshift(this.#head);
    stream.on('error', () => {});
    stream.once('close', () => this.#leave('closed'));
    return stream;
  }

  /**
   * The connection as a descriptor, which is the caller's from now on: nobody counts it or closes it any more.
   * A program that gets it as its standard input wants it blocking (`setNonBlocking` of @sdrx/linux).
   * @throws Error when the connection was closed or taken, also as a stream
   */
  takeFd(): TakenConnection {
    this.#requireHere();
    if (this.#stream !== undefined) throw new Error('the connection was taken already, as a stream');
    const fd = new Fd(this.#fd.take());
    this.#leave('taken');
    return { fd, head: this.#head };
  }

  /** Closes the connection, with what waits to be sent. One that was taken as a descriptor is left alone. */
  [Symbol.dispose](): void {
    if (this.#over) return;
    this.#fd.close();
    this.#stream?.destroy();
    this.#leave('closed');
  }

  #requireHere(): void {
    if (this.#over) throw new Error('the connection was closed or taken already');
  }

  #leave(how: 'closed' | 'taken'): void {
    if (this.#over) return;
    this.#over = true;
    this.#left(how);
  }
}
