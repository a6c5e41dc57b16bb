import { readlinkSync } from 'node:fs';
import {
  checkBoolean,
  checkChoice,
  checkObject,
  Fd,
  isOpen,
  isSystemError,
  setCloseOnExec,
  setNonBlocking,
  socketProperties,
} from '@sdrx/linux';
import { Decimal, Decimal64, type Decoder, EnvironmentError, readEnvironment } from '../kernel/environment.js';
import { ownPidfdId } from './pidfd-id.js';

const FIRST = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];

/** A descriptor that the service manager passed: a socket to listen on, or one out of the fd store. */
export interface PassedFd {
  /** The caller's to close. */
  readonly fd: Fd;
  /**
   * FileDescriptorName= of the socket unit, FDNAME of the fd store, as it was passed: it may be empty, and several may have the
   * same. `unknown` when names were not passed.
   */
  readonly name: string;
}

/** How `listenFds` takes what was passed. */
export interface ListenFdsOptions {
  /**
   * Whether sockets are made non-blocking, by default true. systemd passes them as they were made, blocking. Of two that
   * wait for connections at a blocking one, the slower hangs in accept(2) until the next comes. The flag is the socket's,
   * not the descriptor's: all that have the socket share it.
   */
  readonly nonBlocking?: boolean;
}

const REASONS = ['malformed', 'names', 'not-open'] as const;

/** What is wrong with the variables of sd_listen_fds(3). */
export class ListenFdsError extends EnvironmentError {
  constructor(
    variable: string,
    value: string | undefined,
    expected: string,
    /**
     * `malformed`: the variable is no number. `names`: there are more or fewer names than descriptors. `not-open`: a
     * descriptor is not open, or is not one that was passed.
     */
    readonly reason: (typeof REASONS)[number],
  ) {
    super(variable, value, expected);
    checkChoice('reason', reason, REASONS);
  }
}

/**
 * Takes the descriptors that were passed to this process, close-on-exec and sockets non-blocking from now on, in their order, and
 * removes the variables from the environment, so that neither a second call nor a child takes them again. sd_listen_fds(3).
 * @returns none when nothing was passed, or it was meant for another process (LISTEN_PID, LISTEN_PIDFDID), however malformed The
 * variables are removed all the same, no descriptor is touched.
 * @throws ListenFdsError for what is malformed: a count that is no number, names of another number than the descriptors, a
 * descriptor that is not open
 * @example
 * for (const { name, fd } of listenFds()) console.log(`descriptor ${fd.number} is called '${name}'`);
 */
export function listenFds(environment: NodeJS.ProcessEnv = process.env, options: ListenFdsOptions = {}): PassedFd[] {
  return takeFds(environment, options) ?? [];
}

/** The same, but undefined if this process was not activated. It was, also without a descriptor, by LISTEN_FDS=0. */
export function takeFds(environment: NodeJS.ProcessEnv, options: ListenFdsOptions): PassedFd[] | undefined {
  checkObject('environment', environment);
  checkObject('options', options);
  const { nonBlocking = true } = options;
  checkBoolean('nonBlocking', nonBlocking);
  const passed = Object.fromEntries(VARIABLES.map((variable) => [variable, environment[variable]]));
  for (const variable of VARIABLES) delete environment[variable];

  if (!isForThisProcess(passed)) return undefined;
  const count = read(passed, 'LISTEN_FDS', Decimal);
  if (count === undefined || count === 0) return count === undefined ? undefined : [];
  const names = passed.LISTEN_FDNAMES?.split(':');
  if (names !== undefined && names.length !== count) {
    const expected = `${count} names, as many as LISTEN_FDS says`;
    throw new ListenFdsError('LISTEN_FDNAMES', passed.LISTEN_FDNAMES, expected, 'names');
  }
  // Before anything is made of the count, which may be beyond all measure.
  for (let number = FIRST; number < FIRST + count; number++) {
    if (isOpen(number) && !isEpoll(number)) continue;
    const expected = `the number of passed descriptors (${number} is none)`;
    throw new ListenFdsError('LISTEN_FDS', String(count), expected, 'not-open');
  }
  return Array.from({ length: count }, (_, index) => {
    const number = FIRST + index;
    setCloseOnExec(number);
    if (nonBlocking && isSocket(number)) setNonBlocking(number);
    return { fd: new Fd(number), name: names?.[index] ?? 'unknown' };
  });
}

/** A pid may be another process's by now, which has it again; the id of its pidfd may not. */
function isForThisProcess(environment: NodeJS.ProcessEnv): boolean {
  if (read(environment, 'LISTEN_PID', Decimal) !== process.pid) return false;
  const id = read(environment, 'LISTEN_PIDFDID', Decimal64);
  if (id === undefined) return true;
  const own = ownPidfdId();
  if (own === undefined || own === id) return true;
  // An activator that does not know the variable passes on its own one: without a word nobody would find out.
  process.emitWarning(
    `LISTEN_FDS is not for this process, though LISTEN_PID is: LISTEN_PIDFDID is ${id}, ours ${own}. ` +
      'Who starts it must set LISTEN_PIDFDID, or remove it',
  );
  return false;
}

function read<A>(environment: NodeJS.ProcessEnv, variable: string, decoder: Decoder<A>): A | undefined {
  try {
    return readEnvironment(environment, variable, decoder);
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    throw new ListenFdsError(variable, error.value, decoder.name, 'malformed');
  }
}

/** Asked of the kernel's socket layer: what else a descriptor may be is none of its file system's business, which may not answer. */
function isSocket(fd: number): boolean {
  try {
    socketProperties(fd);
    return true;
  } catch (error) {
    // EBADF is what a descriptor with O_PATH answers.
    if (isSystemError(error, 'ENOTSOCK', 'EBADF')) return false;
    throw error;
  }
}

/**
 * Whether a descriptor is an epoll instance. Nobody passes one, but Node has opened descriptors of its own before we run,
 * the lowest of them an epoll instance: to take that one for passed, and to close it, would end the process.
 */
function isEpoll(fd: number): boolean {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`) === 'anon_inode:[eventpoll]';
  } catch (error) {
    // No /proc, no telling.
    if (isSystemError(error, 'ENOENT')) return false;
    throw error;
  }
}
