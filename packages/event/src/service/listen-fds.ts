import { readlinkSync } from 'node:fs';
import { checkObject, Fd, isOpen, isSystemError, setCloseOnExec } from '@sdrx/linux';
import { Decimal, Decimal64, EnvironmentError, readEnvironment } from '../environment.js';
import { ownPidfdId } from './pidfd-id.js';

const FIRST = 3;
const VARIABLES = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'LISTEN_PIDFDID'];

/** A descriptor that the service manager passed: a socket to listen on, or one out of the fd store. */
export interface PassedFd {
  /** The caller's to close. */
  readonly fd: Fd;
  /** FileDescriptorName= of the socket unit, FDNAME of the fd store; `unknown` when names were not passed. */
  readonly name: string;
}

/**
 * Takes the descriptors that were passed to this process, close-on-exec from now on, in their order, and removes the
 * variables from the environment, so that neither a second call nor a child takes them again. sd_listen_fds(3).
 * @returns none when nothing was passed, or it was meant for another process (LISTEN_PID, LISTEN_PIDFDID), however malformed
 * Throws EnvironmentError for what is malformed: a count that is no number, names of another number than the descriptors,
 * a descriptor that is not open. The variables are removed all the same.
 */
export function listenFds(environment: NodeJS.ProcessEnv = process.env): PassedFd[] {
  checkObject('environment', environment);
  const passed = Object.fromEntries(VARIABLES.map((variable) => [variable, environment[variable]]));
  for (const variable of VARIABLES) delete environment[variable];

  if (!isForThisProcess(passed)) return [];
  const count = readEnvironment(passed, 'LISTEN_FDS', Decimal);
  if (count === undefined || count === 0) return [];
  const names = passed.LISTEN_FDNAMES?.split(':');
  if (names !== undefined && names.length !== count) {
    throw new EnvironmentError('LISTEN_FDNAMES', passed.LISTEN_FDNAMES, `${count} names, as many as LISTEN_FDS says`);
  }
  // Before anything is made of the count, which may be beyond all measure.
  for (let number = FIRST; number < FIRST + count; number++) {
    if (isOpen(number) && !isEpoll(number)) continue;
    const expected = `the number of passed descriptors (${number} is none)`;
    throw new EnvironmentError('LISTEN_FDS', String(count), expected);
  }
  return Array.from({ length: count }, (_, index) => {
    setCloseOnExec(FIRST + index);
    return { fd: new Fd(FIRST + index), name: names?.[index] ?? 'unknown' };
  });
}

/** A pid may be another process's by now, which has it again; the id of its pidfd may not. */
function isForThisProcess(environment: NodeJS.ProcessEnv): boolean {
  if (readEnvironment(environment, 'LISTEN_PID', Decimal) !== process.pid) return false;
  const id = readEnvironment(environment, 'LISTEN_PIDFDID', Decimal64);
  if (id === undefined) return true;
  const own = ownPidfdId();
  return own === undefined || own === id;
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
