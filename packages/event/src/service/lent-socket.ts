import { Server } from 'node:net';
import { atLoad, describeFd, duplicate, EINVAL, type Fd, isReadable, SystemError } from '@sdrx/linux';

/** Node listens once more, which sets the length of the queue; the kernel caps it at net.core.somaxconn. */
const BACKLOG = 4096;

/** A listening socket that one of Node's servers is lent from time to time: it gets a duplicate, which is taken from it again. */
export class LentSocket {
  readonly #server: Server;
  readonly #fd: Fd;
  #lent = false;

  /** @throws TypeError for what is no listening stream socket, of TCP or the family AF_UNIX; EBADF */
  constructor(server: Server, fd: Fd) {
    const found = describeFd(fd.number);
    const isListening = found.kind === 'socket' && found.type === 'stream' && found.listening;
    if (!isListening || !['inet', 'inet6', 'unix'].includes(String(found.family))) {
      throw new TypeError("`fd` must be a listening stream socket, of TCP or a Unix one: Node's servers know no other");
    }
    this.#server = server;
    this.#fd = fd;
  }

  /** Whether a connection waits in the socket. */
  get waiting(): boolean {
    return isReadable(this.#fd.number);
  }

  /** @throws EMFILE, EBADF, EINVAL */
  lend(): void {
    if (this.#lent) return;
    // Node does not say what has failed in its look at the descriptor, which may have been a moment's want of memory.
    if (!this.#tryToLend() && !this.#tryToLend()) {
      const reason = "Node's server does not take the socket; in a worker of node:cluster it can't";
      throw new SystemError(EINVAL, 'listen', String(this.#fd.number), reason);
    }
    this.#lent = true;
  }

  /** @returns whether the server listens */
  #tryToLend(): boolean {
    const copy = duplicate(this.#fd.number);
    const server = this.#server;
    // What keeps it from listening comes as its 'error', later.
    const ignore = () => {};
    server.on('error', ignore);
    try {
      server.listen({ fd: copy.number }, BACKLOG);
    } finally {
      if (server.listening) {
        copy.take();
        server.off('error', ignore);
      } else {
        copy.close();
        atLoad.setImmediate(() => server.off('error', ignore));
      }
    }
    return server.listening;
  }

  /** What Node has accepted it has told of, at once, so that nothing is lost here. */
  takeBack(): void {
    if (!this.#lent) return;
    this.#lent = false;
    // The HTTP server's own would close connections, too.
    Server.prototype.close.call(this.#server);
  }
}
