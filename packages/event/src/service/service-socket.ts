import { describeFd, type Fd, localAddress, type SocketAddress } from '@sdrx/linux';
import { type ListeningSocket, OwnSocket, UnixPath } from './listening-socket.js';

/** A socket of a service, passed or its own. */
export interface ServiceSocket extends ListeningSocket {
  /** Whether the service manager has passed it: it keeps the socket, and what waits in it, when this process ends. */
  readonly passed: boolean;
  /** Whether it is one connection, which the service manager has accepted (Accept=yes). systemd.socket(5) */
  readonly connected: boolean;
}

/** A socket as one process hands it to the next. */
export interface HandedSocket {
  /** By which the service declares it. Several may have the same. */
  readonly name: string;
  /** Whether the service manager has passed it. */
  readonly passed: boolean;
  /** Of its path, which goes with the service's end; undefined if there is none. */
  readonly fileIdentity: string | undefined;
  /** Whoever holds this object closes it. */
  readonly fd: Fd;
}

/** A socket whose path is the service manager's. */
class PassedSocket implements ServiceSocket {
  readonly passed = true;
  readonly connected: boolean;

  constructor(
    readonly fd: Fd,
    readonly address: SocketAddress,
  ) {
    const found = describeFd(fd.number);
    this.connected = found.kind === 'socket' && found.peer !== undefined;
  }

  leave(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

/** Takes over a descriptor that the service manager has passed. */
export function passedSocket(fd: Fd): ServiceSocket {
  return new PassedSocket(fd, addressOf(fd));
}

/** A socket that this process has made. */
export function ownSocket(socket: ListeningSocket): ServiceSocket {
  return Object.assign(socket, { passed: false, connected: false });
}

/** Takes over a socket that another process hands on; its path goes with this process's, if it is still the same. */
export function handedSocket({ passed, fileIdentity, fd }: HandedSocket): ServiceSocket {
  if (passed) return passedSocket(fd);
  const address = addressOf(fd);
  const path = address.family === 'unix' ? address.path : undefined;
  const file = path === undefined || fileIdentity === undefined ? undefined : new UnixPath(path, fileIdentity);
  return ownSocket(new OwnSocket(fd, address, file));
}

/** What another process must know of a socket. */
export function toHand(name: string, socket: ServiceSocket): HandedSocket {
  const fileIdentity = socket instanceof OwnSocket ? socket.fileIdentity : undefined;
  return { name, passed: socket.passed, fileIdentity, fd: socket.fd };
}

function addressOf(fd: Fd): SocketAddress {
  return localAddress(fd.number) as SocketAddress;
}
