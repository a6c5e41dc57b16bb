import { accept, type Fd, isReadable, isSystemError } from '@sdrx/linux';

/** What one wake-up brought. */
export interface AcceptResult {
  /** How many connections were taken, not refused. */
  readonly count: number;
  /** Whether more connections wait still. */
  readonly waiting: boolean;
  /** Why accepting had to stop: this process or the machine has no room for another descriptor. */
  readonly exhausted: Error | undefined;
}

/** What does not pass. accept(2) */
const HOPELESS = ['EBADF', 'ENOTSOCK', 'EINVAL', 'EOPNOTSUPP'];

/**
 * Accepts up to `limit` of the connections that wait, those included that are refused. All else passes: the want of descriptors
 * and memory, an error of the network.
 * @param take takes over a connection. Returns whether it is kept, or an error when it is but there is no room for another one.
 * @throws EBADF, ENOTSOCK, EINVAL, EOPNOTSUPP of what does not listen
 */
export function acceptBatch(listenFd: number, limit: number, take: (connection: Fd) => boolean | Error): AcceptResult {
  let count = 0;
  try {
    // To ask costs a fraction of what accepting none does, which makes a socket first.
    for (let waiting = true, tries = 0; waiting; waiting = isReadable(listenFd), tries++) {
      if (tries === limit) return { count, waiting, exhausted: undefined };
      const connection = accept(listenFd);
      if (connection === undefined) break;
      const taken = take(connection);
      if (taken !== false) count++;
      if (taken instanceof Error) return { count, waiting: true, exhausted: taken };
    }
    return { count, waiting: false, exhausted: undefined };
  } catch (error) {
    if (!isSystemError(error) || isSystemError(error, ...HOPELESS)) throw error;
    return { count, waiting: true, exhausted: error };
  }
}
