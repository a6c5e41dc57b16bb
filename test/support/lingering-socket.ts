import { allocate, Fd, libc, makeSocket, setNonBlocking, write } from '@sdrx/linux';

const AF_INET = 2;
const SOCK_STREAM = 1;
const SOL_SOCKET = 1;
const SO_LINGER = 13;
const ADDRESS_SIZE = 16;
const LOOPBACK = 0x7f00_0001;

type Address = (fd: number, address: Uint8Array, size: number) => number;
const bind = libc<Address>('int bind(int, const void *, uint)');
const connect = libc<Address>('int connect(int, const void *, uint)');
const getsockname = libc<(fd: number, address: Uint8Array, size: Uint8Array) => number>(
  'int getsockname(int, void *, void *)',
);
const listen = libc<(fd: number, backlog: number) => number>('int listen(int, int)');
const accept = libc<(fd: number, address: null, size: null) => number>('int accept(int, void *, void *)');
const setsockopt = libc<(fd: number, level: number, name: number, value: Uint8Array, size: number) => number>(
  'int setsockopt(int, int, int, const void *, uint)',
);

/** A TCP socket that close(2) waits for: it lingers for an hour, and its peer does not read what it sent. socket(7) */
export class LingeringSocket implements Disposable {
  /** Whoever closes the last descriptor of it hangs. */
  readonly fd: Fd;
  readonly #peer: Fd;

  constructor() {
    using listener = makeSocket(AF_INET, SOCK_STREAM);
    const address = allocate(ADDRESS_SIZE);
    address.writeUInt16LE(AF_INET, 0);
    address.writeUInt32BE(LOOPBACK, 4);
    const size = allocate(4);
    size.writeUInt32LE(ADDRESS_SIZE);
    succeed(bind(listener.number, address, ADDRESS_SIZE));
    succeed(listen(listener.number, 1));
    succeed(getsockname(listener.number, address, size));
    this.fd = makeSocket(AF_INET, SOCK_STREAM);
    succeed(connect(this.fd.number, address, ADDRESS_SIZE));
    this.#peer = new Fd(succeed(accept(listener.number, null, null)));
    setNonBlocking(this.fd.number);
    while (write(this.fd.number, Buffer.alloc(65536)) !== undefined);
    const linger = allocate(8);
    linger.writeInt32LE(1, 0);
    linger.writeInt32LE(3600, 4);
    succeed(setsockopt(this.fd.number, SOL_SOCKET, SO_LINGER, linger, 8));
  }

  /** Lets those go on who hang; the descriptor itself must have been closed or passed on before. */
  release(): void {
    // With unread data this resets the connection.
    this.#peer.close();
  }

  [Symbol.dispose](): void {
    this.release();
    this.fd.close();
  }
}

function succeed(result: number): number {
  if (result === -1) throw new Error('a call for a TCP socket failed');
  return result;
}
