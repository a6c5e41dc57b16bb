import { decodeAddress, describeFd, encodeAddress, type SocketAddress } from '@sdrx/linux';
import { openRoles, own } from './open-role.js';
import { checkKind, isAsDeclared, missing } from './passed-sockets-error.js';
import { type HandedSocket, handedSocket, type ServiceSocket } from './service-socket.js';
import { type Role, readDeclaration, type SocketDeclarations, type Sockets } from './socket-declaration.js';

/**
 * Takes the sockets that a service declares out of those that another process hands on; `handed` keeps them if they are not taken: those of a name that were passed
 * to that process, or that listen where the declaration says. What is missing is made. Whatever it throws, all are closed, and the
 * paths of those that were handed are where they were.
 */
export function takeSockets<const D extends SocketDeclarations>(declared: D, handed: HandedSocket[]): Sockets<D> {
  const passed = handed.filter((socket) => socket.passed).map(({ name }) => name);
  const taken = new Set<ServiceSocket>();
  const take = (role: Role) => {
    const found = handed.filter((socket) => socket.name === role.name && (socket.passed || listensAt(socket, role)));
    const sockets = (role.several === true ? found : found.slice(0, 1)).map((socket) => {
      if (socket.passed) checkKind(socket.fd, role, passed);
      handed.splice(handed.indexOf(socket), 1);
      const one = handedSocket(socket);
      taken.add(one);
      return one;
    });
    if (sockets.length > 0) return sockets;
    if (passed.length === 0) return own(role);
    if (role.optional === true) return [];
    throw missing(role, passed);
  };
  const close = (socket: ServiceSocket) => {
    if (!taken.has(socket)) socket[Symbol.dispose]();
  };
  try {
    return openRoles(Object.entries(declared).map(readDeclaration), take, { close });
  } catch (error) {
    for (const socket of taken) socket.leave();
    throw error;
  }
}

/** Whether a socket that another process made is the one which a declaration means. */
function listensAt({ fd }: HandedSocket, role: Role): boolean {
  const found = describeFd(fd.number);
  if (!isAsDeclared(found, role) || found.kind !== 'socket') return false;
  const { address } = found;
  const { listenAddress } = role;
  if (address === undefined || listenAddress === undefined) return false;
  if (listenAddress.kind === 'unix') return address.family === 'unix' && address.path === listenAddress.path;
  if (address.family !== 'inet' && address.family !== 'inet6') return false;
  const port = listenAddress.port === 0 ? address.port : listenAddress.port;
  return sameText(address, {
    family: listenAddress.host.includes(':') ? 'inet6' : 'inet',
    host: listenAddress.host,
    port,
  });
}

/** One address of IPv6 can be written in several ways. */
function sameText(one: SocketAddress, other: SocketAddress): boolean {
  const text = (address: SocketAddress) => JSON.stringify(decodeAddress(encodeAddress(address)));
  return text(one) === text(other);
}
