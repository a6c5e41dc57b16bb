import { type Server, Socket } from 'node:net';
import { Fd } from '@sdrx/linux';

/** One connection that was accepted already, as by a socket unit with Accept=yes: one of Node's servers is given it, and no other. */
export class ConnectedSocket {
  readonly waiting = false;
  readonly #server: Server;
  readonly #fd: Fd;

  /** Takes over the descriptor: it is work that this process has been given. */
  constructor(server: Server, fd: Fd) {
    this.#server = server;
    this.#fd = new Fd(fd.take());
  }

  /** Whether the server has not got it yet. */
  get isLeft(): boolean {
    return this.#fd.number !== -1;
  }

  lend(): void {
    if (!this.isLeft) return;
    const socket = new Socket({
      fd: this.#fd.number,
      readable: true,
      writable: true,
      // As `createServer` was told, which servers of HTTP tell it by themselves.
      allowHalfOpen: Reflect.get(this.#server, 'allowHalfOpen') === true,
    });
    this.#fd.take();
    // As if it had accepted it.
    this.#server.emit('connection', socket);
  }

  /** A connection can't be given back. */
  takeBack(): void {}
}
