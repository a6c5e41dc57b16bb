import type { ListenAddress } from './listen-address.js';
import { type ListeningSocket, listenInet, listenUnix } from './listening-socket.js';
import { ownSocket, type ServiceSocket } from './service-socket.js';
import type { Role, SocketDeclarations, Sockets } from './socket-declaration.js';

export interface OpenSteps {
  /** Throws if something is left that should not be. */
  readonly finish?: () => void;
  /** Closes what was opened before something went wrong. */
  readonly close?: (socket: ServiceSocket) => void;
}

/** Opens each declared socket; if that fails for one, closes those before it. */
export function openRoles<D extends SocketDeclarations>(
  roles: readonly Role[],
  openRole: (role: Role) => ServiceSocket[],
  { finish, close = (socket) => socket[Symbol.dispose]() }: OpenSteps = {},
): Sockets<D> {
  const opened: ServiceSocket[] = [];
  try {
    const byName = roles.map((role) => {
      const sockets = openRole(role);
      opened.push(...sockets);
      return [role.name, role.several === true ? sockets : sockets[0]] as const;
    });
    finish?.();
    return Object.fromEntries(byName) as Sockets<D>;
  } catch (error) {
    opened.forEach(close);
    throw error;
  }
}

/** Makes the socket that a declaration means, if it says where. */
export function own(role: Role): ServiceSocket[] {
  const { listenAddress } = role;
  return listenAddress === undefined ? [] : [ownSocket(listenAt(listenAddress, role))];
}

function listenAt(address: ListenAddress, { mode, owner, backlog, v6only, reusePort }: Role): ListeningSocket {
  const { type } = address;
  const queue = backlog === undefined ? {} : { backlog };
  if (address.kind === 'unix') {
    return listenUnix(address.path, { type: address.type, ...queue, ...defined({ mode, owner }) });
  }
  return listenInet(address.host, address.port, {
    type: type as 'stream',
    ...queue,
    ...defined({ v6only, reusePort }),
  });
}

/** Without the properties that are undefined. */
function defined<T extends object>(properties: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(properties).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
