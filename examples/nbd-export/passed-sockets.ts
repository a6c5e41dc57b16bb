import { EnvironmentError, listenFds, type PassedFd } from '@sdrx/event';
import { describeFd } from '@sdrx/linux';

/** As many as nbdkit takes. */
const MOST = 16;
/** Those that Node serves. */
const FAMILIES: readonly unknown[] = ['unix', 'inet', 'inet6'];

/**
 * The sockets that this process was passed, by nbdkit's rules: each serves the same export, whatever its name. What is malformed is
 * told and means that nothing was passed; no socket at all, or more than 16, is an error.
 *
 * @returns none when the process was not activated
 * Throws EnvironmentError, and TypeError for a descriptor that is no socket to listen on.
 */
export function passedSockets(): PassedFd[] {
  const { LISTEN_PID, LISTEN_FDS } = process.env;
  delete process.env.LISTEN_FDNAMES;
  const passed = takePassed(LISTEN_FDS);
  const isActivated = passed.length > 0 || (Number(LISTEN_PID) === process.pid && /^0+$/.test(LISTEN_FDS ?? ''));
  if (isActivated && (passed.length === 0 || passed.length > MOST)) {
    throw new EnvironmentError('LISTEN_FDS', LISTEN_FDS, `a number of sockets from 1 to ${MOST}`);
  }
  for (const { fd } of passed) checkListening(fd.number);
  return passed;
}

function takePassed(count: string | undefined): PassedFd[] {
  try {
    return listenFds();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    // A number that is none of passed descriptors is no accident of somebody else's environment.
    if (error.variable === 'LISTEN_FDS' && /^\d+$/.test(count ?? '')) throw error;
    console.error(`nbd-export: ${error.message}; no socket is taken for passed`);
    return [];
  }
}

function checkListening(fd: number): void {
  const found = describeFd(fd);
  if (found.kind === 'socket' && FAMILIES.includes(found.family) && found.type === 'stream' && found.listening) return;
  throw new TypeError(`the passed descriptor ${fd} must be a listening stream socket, not: ${found.kind}`);
}
