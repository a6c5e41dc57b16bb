import { checkBoolean, checkChoice, checkObject, checkText } from '@sdrx/linux';
import { type ListenAddress, parseListenAddress, type UnixSocketType } from './listen-address.js';
import type { ListenUnixOptions } from './listening-socket.js';
import type { ServiceSocket } from './service-socket.js';

/** How a service declares a socket of its. */
export interface SocketDeclaration {
  /**
   * Where it listens if nothing was passed, as `parseListenAddress` reads it. Without it the socket is there only if it was passed.
   */
  readonly address?: string;
  /** What it must be; by default what the address says, without one `stream`. */
  readonly type?: UnixSocketType;
  /** Whether it may be missing among those that were passed. By default not. */
  readonly optional?: boolean;
  /** Whether there may be any number of its name, as of a socket unit with several `ListenStream=`. By default not. */
  readonly several?: boolean;
  /**
   * Whether it may also be one connection, as of a socket unit with Accept=yes, which passes it by the name `connection`; then it is
   * the only one that is passed. By default not.
   */
  readonly connection?: boolean;
  /** Of its path, if it is one: as in `listenUnix`. */
  readonly mode?: number;
  /** Of its path, if it is one: as in `listenUnix`. */
  readonly owner?: ListenUnixOptions['owner'];
  /** As in `listenUnix` and `listenInet`. */
  readonly backlog?: number;
  /** As in `listenInet`. */
  readonly v6only?: boolean;
  /** As in `listenInet`. */
  readonly reusePort?: boolean;
}

/** The sockets that a service declares, by name: each an address, or more than that. */
export type SocketDeclarations = Readonly<Record<string, string | SocketDeclaration>>;

/** The sockets that a service has, by the names of its declarations. */
export type Sockets<D extends SocketDeclarations> = { readonly [N in keyof D]: SocketOf<D[N]> };

/** What there is for a declaration. */
export type SocketOf<D> =
  D extends Record<'several', true>
    ? readonly ServiceSocket[]
    : D extends string | (Record<'address', string> & Partial<Record<'optional', false>>)
      ? ServiceSocket
      : ServiceSocket | undefined;

/** A declaration, checked. */
export interface Role extends SocketDeclaration {
  readonly name: string;
  readonly type: UnixSocketType;
  readonly listenAddress: ListenAddress | undefined;
}

export function readDeclaration([name, declaration]: [string, string | SocketDeclaration]): Role {
  const where = `declared.${name}`;
  if (typeof declaration === 'string') {
    const listenAddress = parseListenAddress(declaration);
    return { name, type: listenAddress.type, listenAddress };
  }
  checkObject(where, declaration, 'an address, or an object');
  const { address, type, optional, several, connection } = declaration;
  if (address !== undefined) checkText(`${where}.address`, address);
  if (type !== undefined) checkChoice(`${where}.type`, type, ['stream', 'datagram', 'seqpacket']);
  if (optional !== undefined) checkBoolean(`${where}.optional`, optional);
  if (several !== undefined) checkBoolean(`${where}.several`, several);
  if (connection !== undefined) checkBoolean(`${where}.connection`, connection);
  const listenAddress = address === undefined ? undefined : parseListenAddress(address);
  return { ...declaration, name, type: type ?? listenAddress?.type ?? 'stream', listenAddress };
}
