import { checkArray, checkText, describeFd, type Fd, type FdDescription } from '@sdrx/linux';
import { formatListenAddress } from './listen-address.js';
import type { Role } from './socket-declaration.js';

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
 * @param passed the names of all that were passed.
 * @throws PassedSocketsError for a socket that is none of the declared kind
 */
export function checkKind(fd: Fd, role: Role, passed: readonly string[]): void {
  const found = describeFd(fd.number);
  if (isAsDeclared(found, role)) return;
  const must = `must be ${kindOf(role)}, it is ${describe(found)}`;
  throw new PassedSocketsError(`the passed socket '${role.name}' ${must}`, passed);
}

/** What to say when a declared socket is not there. */
export function missing({ name, listenAddress }: Role, passed: readonly string[]): PassedSocketsError {
  const instead = listenAddress === undefined ? '' : `, or one that listens at ${formatListenAddress(listenAddress)}`;
  return new PassedSocketsError(
    `no socket '${name}' was passed: add FileDescriptorName=${name} to its socket unit${instead}`,
    passed,
  );
}

/** The address may be another one, as the administrator likes, but not what the service can't speak. */
export function isAsDeclared(found: FdDescription, { type, connection = false }: Role): boolean {
  if (found.kind !== 'socket' || found.type !== type) return false;
  return type === 'datagram' || found.listening || (connection && found.peer !== undefined);
}

function kindOf({ type, connection = false }: Role): string {
  return type === 'datagram'
    ? 'a datagram socket'
    : `a listening ${type} socket${connection ? ', or a connected one' : ''}`;
}

function describe(found: FdDescription): string {
  if (found.kind !== 'socket') return found.kind === 'anonymous' ? `an ${found.type}` : `a ${found.kind}`;
  const state = found.listening ? 'listening ' : found.peer === undefined ? '' : 'connected ';
  return `a ${state}${found.type} socket`;
}

function wasPassed(names: readonly string[]): string {
  return `Passed by LISTEN_FDS: ${names.map((name) => `'${name}'`).join(', ')}`;
}
