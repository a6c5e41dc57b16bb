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

/**
 * Accepts up to `limit` of the connections that wait, those included that are refused. Throws what accept(2) throws, except
 * for the want of descriptors and memory, which passes.
 * @param take takes over a connection. Returns whether it is kept, or an error when it is but there is no room for another one.
 */
export function acceptBatch(listenFd: number, limit: number, take: (connection: Fd) => boolean | Error): AcceptResult {
  let count = 0;
  try {
    for (let tries = 0; tries < limit; tries++) {
      const connection = accept(listenFd);
      if (connection === undefined) return { count, waiting: false, exhausted: undefined };
      const taken = take(connection);
      if (taken !== false) count++;
      if (taken instanceof Error) return { count, waiting: true, exhausted: taken };
    }
    return { count, waiting: (pollNow(listenFd, EPOLLIN) & EPOLLIN) !== 0, exhausted: undefined };
  } catch (error) {
    if (!isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS')) throw error;
    return { count, waiting: true, exhausted: error };
  }
}
