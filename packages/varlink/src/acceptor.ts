import { accept, EPOLLIN, type Fd, isSystemError, pollNow } from '@sdrx/linux';

/** What one wake-up brought. */
export interface AcceptResult {
  /** How many connections were taken, not refused. */
  readonly count: number;
  /** Whether more connections wait still. */
  readonly waiting: boolean;
  /** Why accepting had to stop: this process or the machine has no room for another descriptor. */
  readonly exhausted: Error | undefined;
}

/** What accept(2) fails with when the socket itself is no good. Everything else passes. */
const FATAL = ['EBADF', 'EINVAL', 'ENOTSOCK', 'EOPNOTSUPP'] as const;

/**
 * Accepts up to `limit` of the connections that wait, those included that are refused. Throws EBADF, EINVAL, ENOTSOCK, EOPNOTSUPP;
 * after another failure accepting has to stop for a while. A connection of which nothing can be learnt is closed.
 * @param take takes over a connection. Returns whether it is kept, or an error when it is but there is no room for another one.
 */
export function acceptBatch(listenFd: number, limit: number, take: (connection: Fd) => boolean | Error): AcceptResult {
  let count = 0;
  try {
    // To ask costs a fraction of what accepting none does, which makes a socket first.
    for (let waiting = true, tries = 0; waiting; waiting = isReadable(listenFd), tries++) {
      if (tries === limit) return { count, waiting, exhausted: undefined };
      const connection = accept(listenFd);
      if (connection === undefined) break;
      const taken = attempt(connection, take);
      if (taken !== false) count++;
      if (taken instanceof Error) return { count, waiting: true, exhausted: taken };
    }
    return { count, waiting: false, exhausted: undefined };
  } catch (error) {
    if (!isSystemError(error) || isSystemError(error, ...FATAL)) throw error;
    return { count, waiting: true, exhausted: error };
  }
}

function attempt(connection: Fd, take: (connection: Fd) => boolean | Error): boolean | Error {
  try {
    return take(connection);
  } catch (error) {
    connection.close();
    if (!isSystemError(error)) throw error;
    return false;
  }
}

function isReadable(fd: number): boolean {
  return (pollNow(fd, EPOLLIN) & EPOLLIN) !== 0;
}
