import { checkObject, type Fd, type FdDescription } from '@sdrx/linux';
import { refuseConflicts } from './conflicts.js';
import { openRoles, own } from './open-role.js';
import { PassedFds } from './passed-fds.js';
import { checkKind, missing, PassedSocketsError } from './passed-sockets-error.js';
import { passedSocket, type ServiceSocket } from './service-socket.js';
import { type Role, readDeclaration, type SocketDeclarations, type Sockets } from './socket-declaration.js';

/** How `openSockets` opens. */
export interface OpenSocketsOptions {
  /** By default the process's own; the variables are removed from it. */
  readonly environment?: NodeJS.ProcessEnv;
  /**
   * Options of the command line that say where to listen, by the name that users know: the value that was given, undefined if it
   * was not. Given to a service whose sockets were passed, each is named in a ConflictError.
   */
  readonly conflicts?: Readonly<Record<string, unknown>>;
}

/**
 * Opens the sockets that a service declares, each by a name and the address where it listens if it is started by hand: those that
 * the service manager has passed, or else, if it has passed none at all, its own.
 *
 * Passed ones are taken by name (FileDescriptorName= of the socket unit). A single one that is passed for a single one that is
 * declared may have any name; so may all if the single one may be `several`. They are non-blocking; see `ListenFdsOptions`.
 * Whatever it throws, all are closed.
 * @throws PassedSocketsError when one is missing, is too many, or is of another kind than declared; ConflictError;
 * ListenAddressError; EnvironmentError; and as `listenUnix` and `listenInet`
 * @example
 * const { http } = openSockets({ http: 'tcp:127.0.0.1:0' });
 * const connections = new ServedConnections(createServer((_, response) => response.end('hello'))).listen(http.fd);
 * connections.resume();
 */
export function openSockets<const D extends SocketDeclarations>(
  declared: D,
  options: OpenSocketsOptions = {},
): Sockets<D> {
  checkObject('declared', declared);
  checkObject('options', options);
  const { environment = process.env, conflicts = {} } = options;
  checkObject('environment', environment);
  checkObject('conflicts', conflicts);
  // Before anything is taken of what was passed.
  for (const declaration of Object.entries(declared)) readDeclaration(declaration);
  using passed = new PassedFds(environment);
  return openAmong(passed, declared, conflicts);
}

/** The same, of what is left of the descriptors that were passed. */
export function openAmong<D extends SocketDeclarations>(
  passed: PassedFds,
  declared: D,
  conflicts: Readonly<Record<string, unknown>>,
): Sockets<D> {
  const roles = Object.entries(declared).map(readDeclaration);
  const { names } = passed;
  if (names.length === 0) return openRoles(roles, own);
  refuseConflicts(names, conflicts);
  const finish = () => {
    const [odd] = passed.names;
    if (odd !== undefined) throw new PassedSocketsError(`nothing is declared for the passed socket '${odd}'`, names);
  };
  return openRoles(roles, (role) => takePassed(passed, role, names, roles.length === 1), { finish });
}

/** @param names of all that were passed */
function takePassed(passed: PassedFds, role: Role, names: readonly string[], isOnlyRole: boolean): ServiceSocket[] {
  const isOnly = names.length === 1;
  const anyName = isOnlyRole && (role.several === true || isOnly);
  const take = () => {
    // One that is connected comes alone, and for its name there is a default.
    const connection = role.connection === true && isOnly ? passed.takeKind(isConnected) : undefined;
    return (connection ?? (anyName ? passed.takeNext() : undefined))?.fd ?? passed.take(role.name);
  };
  const sockets: ServiceSocket[] = [];
  try {
    for (let fd = take(); fd !== undefined; fd = role.several === true ? take() : undefined) {
      sockets.push(takeOne(fd, role, names));
    }
    if (sockets.length > 0 || role.optional === true) return sockets;
    throw missing(role, names);
  } catch (error) {
    for (const socket of sockets) socket[Symbol.dispose]();
    throw error;
  }
}

function isConnected(found: FdDescription): boolean {
  return found.kind === 'socket' && found.peer !== undefined;
}

function takeOne(fd: Fd, role: Role, all: readonly string[]): ServiceSocket {
  try {
    checkKind(fd, role, all);
    return passedSocket(fd);
  } catch (error) {
    fd.close();
    throw error;
  }
}
