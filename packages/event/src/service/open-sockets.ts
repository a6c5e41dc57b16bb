import {
  checkArray,
  checkObject,
  checkText,
  describeFd,
  type Fd,
  type FdDescription,
  localAddress,
  type SocketAddress,
  setNonBlocking,
} from '@sdrx/linux';
import { formatListenAddress, type ListenAddress, parseListenAddress } from './listen-address.js';
import { type ListeningSocket, listenInet, listenUnix } from './listening-socket.js';
import { PassedFds } from './passed-fds.js';

/** A socket of a service, passed or its own. */
export interface ServiceSocket extends ListeningSocket {
  /** Whether the service manager has passed it: it keeps the socket, and what waits in it, when this process ends. */
  readonly passed: boolean;
}

/** The sockets that were passed are not those that the service has declared. */
export class PassedSocketsError extends Error {
  /** The class's. */
  override readonly name = 'PassedSocketsError';

  constructor(
    message: string,
    /** The names of all that were passed. */
    readonly passed: readonly string[],
  ) {
    checkText('message', message);
    checkArray('passed', passed, checkText);
    super(`${message}. ${wasPassed(passed)}`);
  }
}

/**
 * Opens the sockets that a service declares, each by a name and the address where it listens if it is started by hand: those that
 * the service manager has passed, or else, if it has passed none at all, its own.
 *
 * Passed ones are taken by name (FileDescriptorName= of the socket unit). A single one that is passed for a single one that is
 * declared may have any name. They are made non-blocking: as systemd passes them they block, and so would whoever accepts
 * from them when another process has been faster.
 * @param declared addresses as `parseListenAddress` reads them
 * Throws PassedSocketsError when one is missing, is too many, or is of another kind than declared; ListenAddressError; EnvironmentError; and
 * as `listenUnix` and `listenInet`. Whatever it throws, all are closed.
 */
export function openSockets<N extends string>(
  declared: Readonly<Record<N, string>>,
  environment: NodeJS.ProcessEnv = process.env,
): Record<N, ServiceSocket> {
  checkObject('declared', declared);
  for (const [name, address] of Object.entries(declared)) checkText(`declared.${name}`, address);
  checkObject('environment', environment);
  const addresses = Object.entries<string>(declared).map(([name, text]) => [name, parseListenAddress(text)] as const);
  using passed = new PassedFds(environment);
  const opened: [string, ServiceSocket][] = [];
  try {
    for (const [name, address] of addresses) {
      opened.push([name, passed.all.length === 0 ? own(address) : takePassed(passed, name, address, addresses.length)]);
    }
    const [odd] = passed.names;
    if (odd !== undefined)
      throw new PassedSocketsError(`nothing is declared for the passed socket '${odd}'`, passed.all);
  } catch (error) {
    for (const [, socket] of opened) socket[Symbol.dispose]();
    throw error;
  }
  return Object.fromEntries(opened) as Record<N, ServiceSocket>;
}

function own(address: ListenAddress): ServiceSocket {
  const socket =
    address.kind === 'unix'
      ? listenUnix(address.path, { type: address.type })
      : listenInet(address.host, address.port, { type: address.type });
  return Object.assign(socket, { passed: false });
}

function takePassed(passed: PassedFds, name: string, address: ListenAddress, declared: number): ServiceSocket {
  const fd = declared === 1 && passed.all.length === 1 ? passed.takeNext()?.fd : passed.take(name);
  if (fd === undefined) {
    throw new PassedSocketsError(
      `no socket '${name}' was passed: add FileDescriptorName=${name} to its socket unit, or one that listens at ` +
        formatListenAddress(address),
      passed.all,
    );
  }
  try {
    const found = describeFd(fd.number);
    if (!isAsDeclared(found, address)) {
      throw new PassedSocketsError(
        `the passed socket '${name}' must be ${kindOf(address)}, it is ${describe(found)}`,
        passed.all,
      );
    }
    setNonBlocking(fd.number);
    return new PassedSocket(fd, localAddress(fd.number) as SocketAddress);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/** A socket whose address is not ours to remove. */
class PassedSocket implements ServiceSocket {
  readonly passed = true;

  constructor(
    readonly fd: Fd,
    readonly address: SocketAddress,
  ) {}

  leave(): void {
    this.fd.close();
  }

  [Symbol.dispose](): void {
    this.fd.close();
  }
}

/** The address may be another one, as the administrator likes, but not what the service can't speak. */
function isAsDeclared(found: FdDescription, { type }: ListenAddress): boolean {
  return found.kind === 'socket' && found.type === type && (type === 'datagram' || found.listening);
}

function kindOf({ type }: ListenAddress): string {
  return type === 'datagram' ? 'a datagram socket' : `a listening ${type} socket`;
}

function describe(found: FdDescription): string {
  if (found.kind !== 'socket') return found.kind === 'anonymous' ? `an ${found.type}` : `a ${found.kind}`;
  const state = found.listening ? 'listening ' : found.peer === undefined ? '' : 'connected ';
  return `a ${state}${found.type} socket`;
}

function wasPassed(names: readonly string[]): string {
  return `Passed by LISTEN_FDS: ${names.map((name) => `'${name}'`).join(', ')}`;
}
