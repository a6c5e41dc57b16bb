import { accept, EPOLLIN, Epoll, type Fd, isSystemError } from '@sdrx/linux';

/** What one wake-up brought. */
export interface AcceptResult {
  readonly count: number;
  /** Whether more connections wait still. */
  readonly waiting: boolean;
  /** Why accepting had to stop: this process or the machine has no room for another descriptor. */
  readonly exhausted: Error | undefined;
}

/**
 * Accepts up to `limit` of the connections that wait. Throws what accept(2) throws, except for the want of descriptors
 * memory or epoll watches, which passes.
 */
export function acceptBatch(listenFd: number, limit: number, take: (connection: Fd) => void): AcceptResult {
  let count = 0;
  try {
    for (; count < limit; count++) {
      const connection = accept(listenFd);
      if (connection === undefined) return { count, waiting: false, exhausted: undefined };
      take(connection);
    }
    return { count, waiting: isReadable(listenFd), exhausted: undefined };
  } catch (error) {
    if (!isSystemError(error, 'EMFILE', 'ENFILE', 'ENOMEM', 'ENOBUFS', 'ENOSPC')) throw error;
    return { count, waiting: true, exhausted: error };
  }
}

/** Whether a connection waits. Asked rarely, so an epoll instance of its own may come and go. */
function isReadable(listenFd: number): boolean {
  using epoll = new Epoll();
  epoll.add(listenFd, EPOLLIN, 0);
  return epoll.poll() > 0;
}
