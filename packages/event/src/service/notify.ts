import { checkFds, checkMethods, EPOLLHUP, MAX_PASSED_FDS, outOfRange, pipe } from '@sdrx/linux';
import { defer, finalize, map, type Observable, of, take } from 'rxjs';
import { readEnvironment, textDecoder } from '../environment.js';
import type { EventLoop } from '../loop.js';
import { formatNotification, type Notification } from './notification.js';
import { deliver } from './notify-outbox.js';

const NotifySocket = textDecoder("an absolute path or an abstract socket's @name", (text) =>
  /^[/@]./s.test(text) ? text : undefined,
);

/** What stands alone and is repeated: of several that wait, the newest will do. */
const REPEATED = /^(STATUS|WATCHDOG)=[^\n]*$/;

/**
 * Tells the service manager, at the socket that NOTIFY_SOCKET names. sd_notify(3), sd_pid_notify_with_fds(3).
 *
 * Never waits. What the manager has no room for now is sent when it has, in order, while the process lives; of STATUS and
 * WATCHDOG alone only the newest. That keeps the process from ending for 5 s at most; then a warning of Node's tells of it.
 * @param fds sent along (with FDSTORE or BARRIER), at most 253; they stay the caller's
 * @returns whether there is a service manager to tell
 * Throws, whether there is one or not, TypeError for a value of a wrong kind or with a line break and RangeError for one out of
 * range or a variable that does not exist; EnvironmentError for a NOTIFY_SOCKET that is none; what sendmsg(2) fails with
 * (ECONNREFUSED, ENOENT, EACCES, EBADF, EMSGSIZE); ENOBUFS when 256 messages wait already.
 */
export function notify(notification: Notification, fds: readonly number[] = []): boolean {
  const text = formatNotification(notification);
  checkFds('fds', fds);
  if (fds.length > MAX_PASSED_FDS) throw outOfRange('fds', `at most ${MAX_PASSED_FDS} descriptors`, fds.length);
  const to = readEnvironment(process.env, 'NOTIFY_SOCKET', NotifySocket);
  if (to === undefined) return false;
  const about = fds.length === 0 ? REPEATED.exec(text)?.[1] : undefined;
  deliver({ to, text, about }, fds);
  return true;
}

/**
 * Comes, and completes, when the service manager has dealt with all that it was told before; at once when there is none.
 * sd_notify_barrier(3)
 */
export function notifyBarrier(loop: EventLoop): Observable<void> {
  checkMethods('loop', loop, 'an EventLoop', 'io');
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
