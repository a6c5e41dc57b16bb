import { EPOLLHUP, pipe, SOCK_DGRAM, sendMessage, setNonBlocking, unixSocket } from '@sdrx/linux';
import { defer, finalize, map, type Observable, of, take } from 'rxjs';
import { readEnvironment, textDecoder } from '../environment.js';
import type { EventLoop } from '../loop.js';

/** The variables of sd_notify(3), by their own names; values are sent as they are, times in microseconds. */
export interface Notification {
  /** Start-up, or a reload, is done. */
  readonly READY?: 1;
  /** A reload begins; READY ends it. */
  readonly RELOADING?: 1;
  /** The end begins. */
  readonly STOPPING?: 1;
  /** CLOCK_MONOTONIC, with RELOADING. */
  readonly MONOTONIC_USEC?: number;
  /** One line for people. */
  readonly STATUS?: string;
  /** Why it failed: the number of an error. */
  readonly ERRNO?: number;
  /** Why it failed: the name of a D-Bus error. */
  readonly BUSERROR?: string;
  /** The service's main process, if that is not the one that was started. */
  readonly MAINPID?: number;
  /** A sign of life, or the wish to be treated as one that gave none. */
  readonly WATCHDOG?: 1 | 'trigger';
  /** How long to wait for a sign of life from now on. */
  readonly WATCHDOG_USEC?: number;
  /** How much longer the start, the reload or the end that goes on may take. */
  readonly EXTEND_TIMEOUT_USEC?: number;
  /** Keep the descriptors sent along, and pass them at the next start. */
  readonly FDSTORE?: 1;
  /** Forget the kept descriptors of this FDNAME. */
  readonly FDSTOREREMOVE?: 1;
  /** 1 to 255 printable ASCII characters, no `:`. */
  readonly FDNAME?: string;
  /** Keep them also when they report an error. */
  readonly FDPOLL?: 0;
  /** Close the one descriptor sent along; see `notifyBarrier`. */
  readonly BARRIER?: 1;
}

const NotifySocket = textDecoder("an absolute path or an abstract socket's @name", (text) =>
  /^[/@]./s.test(text) ? text : undefined,
);

/**
 * Tells the service manager, at the socket that NOTIFY_SOCKET names. sd_notify(3), sd_pid_notify_with_fds(3).
 * @param fds sent along (with FDSTORE or BARRIER); they stay the caller's
 * @returns whether there is a service manager to tell
 * Throws EnvironmentError for a NOTIFY_SOCKET that is none, TypeError for a value with a line break, and what sendmsg(2)
 * fails with (ECONNREFUSED, ENOENT, EACCES).
 */
export function notify(notification: Notification, fds: readonly number[] = []): boolean {
  const path = readEnvironment(process.env, 'NOTIFY_SOCKET', NotifySocket);
  if (path === undefined) return false;
  const lines = Object.entries(notification).map(([name, value]) => {
    if (/[\n\0]/.test(`${value}`)) throw new TypeError(`${name} must be one line, not ${JSON.stringify(value)}`);
    return `${name}=${value}`;
  });
  using socket = unixSocket(SOCK_DGRAM);
  // As sd_notify does: a state that is lost because the manager's queue is full would leave it waiting for ever.
  setNonBlocking(socket.number, false);
  sendMessage(socket.number, Buffer.from(lines.join('\n')), { fds, to: path });
  return true;
}

/**
 * Comes, and completes, when the service manager has dealt with all that it was told before; at once when there is none.
 * sd_notify_barrier(3)
 */
export function notifyBarrier(loop: EventLoop): Observable<void> {
  return defer(() => {
    const [reader, writer] = pipe();
    try {
      // The manager closes its copy of the writing end when it gets there; ours must be gone by then.
      if (!notify({ BARRIER: 1 }, [writer.number])) {
        reader.close();
        return of(undefined);
      }
    } catch (error) {
      reader.close();
      throw error;
    } finally {
      writer.close();
    }
    return loop.io(reader.number, { events: EPOLLHUP, description: 'notify barrier' }).pipe(
      take(1),
      map(() => undefined),
      finalize(() => reader.close()),
    );
  });
}
