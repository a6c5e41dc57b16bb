import { listenFds } from '@sdrx/event';
import { ENOTUNIQ, type Fd, isListeningUnixStream, SystemError } from '@sdrx/linux';
import type { Log } from '../program/log.js';

/** What the service manager passed to the daemon at its start. */
export class PassedFds implements Disposable {
  constructor(
    /** The socket to serve, closed with this object; undefined if none was passed. */
    readonly socket: Fd | undefined,
    /** The socket to tell metrics on, closed with this object; undefined if none was passed. */
    readonly reportSocket: Fd | undefined,
    /** The inodes of the namespaces of which the fd store has something. */
    readonly namespaces: readonly number[],
  ) {}

  [Symbol.dispose](): void {
    this.socket?.close();
    this.reportSocket?.close();
  }
}

/** What systemd's services have a socket for metrics be called by. */
const REPORT = 'varlink-metrics';

const NAMESPACE = /^userns-(.*)$/s;

/**
 * Sorts what was passed by LISTEN_FDS: of the namespaces in the fd store only the inodes are kept, of sockets the one to
 * serve, non-blocking, as several workers wait on it, and the one for metrics. The rest is closed.
 *
 * Throws ENOTUNIQ for a second socket of a kind, EnvironmentError for malformed variables.
 */
export function takePassedFds(log: Log): PassedFds {
  const namespaces: number[] = [];
  let socket: Fd | undefined;
  let reportSocket: Fd | undefined;
  for (const { fd, name } of listenFds()) {
    const [, inode] = NAMESPACE.exec(name) ?? [];
    if (inode !== undefined) {
      fd.close();
      if (/^\d+$/.test(inode) && Number(inode) <= 0xffff_ffff) namespaces.push(Number(inode));
      else log.warning(`passed descriptor '${name}' names no inode, ignored`);
    } else if (!isListeningUnixStream(fd.number)) {
      log.warning(`passed descriptor '${name}' is no listening stream socket of the family AF_UNIX, closed`);
      fd.close();
    } else if ((name === REPORT ? reportSocket : socket) !== undefined) {
      throw new SystemError(ENOTUNIQ, 'listen_fds', name);
    } else if (name === REPORT) {
      reportSocket = fd;
    } else {
      socket = fd;
    }
  }
  return new PassedFds(socket, reportSocket, namespaces);
}
