import { checkFds, checkMethods, EPOLLHUP, MAX_PASSED_FDS, outOfRange, pipe, UINT32_MAX } from '@sdrx/linux';
import { defer, finalize, map, type Observable, of, take } from 'rxjs';
import { readEnvironment, textDecoder } from '../kernel/environment.js';
import type { EventLoop } from '../loop.js';
import { formatNotification, type Notification } from './notification.js';
import { deliver } from './notify-outbox.js';

const NotifySocket = textDecoder("an absolute path, an abstract socket's @name, or vsock:CID:PORT", (text) =>
  /^[/@]./s.test(text) || isVsock(text) ? text : undefined,
);

/** The longest message that systemd reads, in bytes: PIPE_BUF. */
const LONGEST = 4096;

/** What stands alone and is repeated: of several that wait, the newest will do. */
const REPEATED = /^(STATUS|WATCHDOG)=[^\n]*$/;

/** What a warning was given of. */
const warned = new Set<'vsock' | 'length'>();

/**
 * Tells the service manager, at the socket that NOTIFY_SOCKET names. sd_notify(3), sd_pid_notify_with_fds(3).
 *
 * Never waits. What the manager has no room for now is sent when it has, in order, while the process lives; of STATUS and
 * WATCHDOG alone only the newest. That keeps the process from ending for 5 s at most; then a warning of Node's tells of it.
 *
 * systemd throws away a message of more than 4,096 bytes, whatever it says. It is sent all the same, as other receivers may
 * take it, and the first one is told by a warning of Node's. A manager at an address of vsock(7), as the host of a virtual
 * machine is, is told nothing; a warning says so once.
 * @param fds sent along (with FDSTORE, MAINPIDFD or BARRIER), at most 253; they stay the caller's
 * @returns whether there is a service manager to tell
 * @throws TypeError for a value of a wrong kind or with a line break and RangeError for one out of
 * range, a variable that does not exist, or another number of descriptors than the variables need; EnvironmentError for a
 * NOTIFY_SOCKET that is none; what sendmsg(2) fails with (ECONNREFUSED, ENOENT, EACCES, EBADF, EMSGSIZE); ENOBUFS when 256
 * messages wait already. Arguments are looked at whether there is a service manager or not
 *
 * @example
 * notify({ READY: 1, STATUS: 'waiting for whoever comes' });
 */
export function notify(notification: Notification, fds: readonly number[] = []): boolean {
  checkFds('fds', fds);
  if (fds.length > MAX_PASSED_FDS) throw outOfRange('fds', `at most ${MAX_PASSED_FDS} descriptors`, fds.length);
  const text = formatNotification(notification, fds.length);
  const to = readEnvironment(process.env, 'NOTIFY_SOCKET', NotifySocket);
  if (to === undefined) return false;
  if (isVsock(to)) {
    warnOnce('vsock', `the service manager at NOTIFY_SOCKET=${to} is told nothing: AF_VSOCK is not supported`);
    return false;
  }
  const length = Buffer.byteLength(text);
  if (length > LONGEST) {
    const what = text.slice(0, 60).replaceAll('\n', ', ');
    warnOnce('length', `systemd takes no notification of more than ${LONGEST} bytes, this one has ${length}: ${what}…`);
  }
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

/** `vsock:`, and with the type of the socket. */
function isVsock(address: string): boolean {
  const [, ...numbers] = /^vsock(?:-stream|-dgram|-seqpacket)?:(\d{1,10}):(\d{1,10})$/.exec(address) ?? [];
  return numbers.length > 0 && numbers.every((text) => Number(text) <= UINT32_MAX);
}

function warnOnce(about: 'vsock' | 'length', text: string): void {
  if (warned.has(about)) return;
  warned.add(about);
  process.emitWarning(text);
}
