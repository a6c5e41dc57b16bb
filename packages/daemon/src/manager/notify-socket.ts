import { fchmodSync, openSync, rmSync } from 'node:fs';
import { bind, Fd, O_DIRECTORY, O_PATH, receiveSenders, SOCK_DGRAM, unixSocket } from '@sdrx/linux';

/**
 * The datagram socket that workers send their notifications to, sd_notify(3). It can be sent to by whoever may look at this process's
 * descriptors, and has no other name to be found or left behind.
 */
export class NotifySocket implements Disposable {
  readonly fd: Fd;
  /** Of the name that it had. */
  readonly #name: Fd;

  /** @param directory where the socket has a name for a moment, in which only the daemon's own user may send to it */
  constructor(directory: string) {
    [this.fd, this.#name] = namelessSocket(directory);
  }

  /** What NOTIFY_SOCKET has to be for the workers. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#name.number}`;
  }

  [Symbol.dispose](): void {
    this.#name.close();
    this.fd.close();
  }
}

/** @returns the socket, and a descriptor of the name that it had */
function namelessSocket(directory: string): [Fd, Fd] {
  const socket = unixSocket(SOCK_DGRAM);
  try {
    receiveSenders(socket.number);
    // Before it has a name, so that it never has one with another mode.
    fchmodSync(socket.number, 0o600);
    using folder = new Fd(openSync(directory, O_PATH | O_DIRECTORY));
    // The directory's own path may be too long for an address. The registry removes such a file if the process is killed here.
    const path = `/proc/self/fd/${folder.number}/.#notify-${process.pid}`;
    rmSync(path, { force: true });
    bind(socket.number, path);
    try {
      return [socket, new Fd(openSync(path, O_PATH))];
    } finally {
      rmSync(path, { force: true });
    }
  } catch (error) {
    socket.close();
    throw error;
  }
}
