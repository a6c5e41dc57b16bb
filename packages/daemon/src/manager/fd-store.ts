import { fchmodSync, openSync, rmSync } from 'node:fs';
import type { EventLoop, IoEvent } from '@sdrx/event';
import {
  bind,
  Fd,
  isSystemError,
  O_DIRECTORY,
  O_PATH,
  ReceiveBuffer,
  receiveSenders,
  SOCK_DGRAM,
  statx,
  unixSocket,
} from '@sdrx/linux';
import { type Observable, tap } from 'rxjs';
import type { Log } from '../program/log.js';

/** How many descriptors are kept at most. */
const MAXIMUM = 4096;

/** The longest notification, in bytes. */
const MESSAGE_SIZE = 4096;

const NAME = /^userns-([1-9]\d{0,9})$/;

/**
 * The fd store of a daemon that no service manager runs: keeps what workers send by sd_notify(3) with FDSTORE and the
 * FDNAME `userns-<inode>`, until FDSTOREREMOVE.
 *
 * Only directories are kept, which is what a mount is known by, and one for each mount: to keep a namespace would do no
 * more than hold it alive, since nobody gets it back.
 */
export class FdStore implements Disposable {
  readonly #socket: Fd;
  readonly #name: Fd;
  readonly #buffer = new ReceiveBuffer(MESSAGE_SIZE);
  readonly #kept = new Map<number, Map<bigint, Fd>>();

  /**
   * @param directory where the socket has a name for a moment, in which only our own user may send to it
   * @param isWorker whether a process may have something kept
   */
  constructor(
    directory: string,
    readonly isWorker: (pid: number) => boolean,
    readonly log: Log,
  ) {
    [this.#socket, this.#name] = namelessSocket(directory);
  }

  /** What NOTIFY_SOCKET has to be for the workers. */
  get path(): string {
    return `/proc/${process.pid}/fd/${this.#name.number}`;
  }

  /** Listens while subscribed. */
  run(loop: EventLoop): Observable<IoEvent> {
    // Before a worker's death is noticed: what it sent until then counts.
    return loop.io(this.#socket.number, { priority: -1, description: 'fd store' }).pipe(tap(() => this.receive()));
  }

  /** Deals with what was sent so far. */
  receive(): void {
    for (;;) {
      const fds: number[] = [];
      let size: number | undefined;
      try {
        size = this.#buffer.receive(this.#socket.number, fds);
      } catch (error) {
        if (!isSystemError(error, 'EMFILE', 'EMSGSIZE')) throw error;
        this.log.warning('a notification of a worker is lost', error);
        continue;
      }
      if (size === undefined) return;
      const passed = fds.map((fd) => new Fd(fd));
      try {
        this.#obey(this.#buffer.bytes.toString('utf8', 0, size), passed);
      } finally {
        for (const fd of passed) fd.close();
      }
    }
  }

  /** Closes what is kept of a namespace, or is on its way; harmless if nothing is. Hold the registry's lock. */
  remove(inode: number): void {
    this.receive();
    this.#remove(inode);
  }

  [Symbol.dispose](): void {
    for (const inode of [...this.#kept.keys()]) this.#remove(inode);
    this.#name.close();
    this.#socket.close();
  }

  #obey(text: string, fds: readonly Fd[]): void {
    const { sender } = this.#buffer;
    if (sender === undefined || !this.isWorker(sender.pid)) {
      this.log.warning(`process ${sender?.pid} is no worker, its notification is ignored`);
      return;
    }
    const variables = new Set(text.split('\n'));
    const [, name = ''] = /^FDNAME=(.*)$/m.exec(text) ?? [];
    const inode = Number(NAME.exec(name)?.[1] ?? Number.NaN);
    if (Number.isNaN(inode)) return;
    if (variables.has('FDSTOREREMOVE=1')) this.#remove(inode);
    else if (variables.has('FDSTORE=1')) for (const fd of fds) this.#keep(inode, fd);
  }

  #keep(inode: number, fd: Fd): void {
    // Never fstat(2): what a client passed may be of a file system that does not answer.
    const { isDirectory, mountId } = statx(fd.number);
    const mount = isDirectory ? mountId : undefined;
    const mounts = this.#kept.get(inode) ?? new Map<bigint, Fd>();
    if (mount === undefined || mounts.has(mount)) return;
    if ([...this.#kept.values()].reduce((count, { size }) => count + size, 0) >= MAXIMUM) {
      this.log.warning(`${MAXIMUM} mounts are kept, one of user namespace ${inode} is not`);
      return;
    }
    this.#kept.set(inode, mounts.set(mount, new Fd(fd.take())));
  }

  #remove(inode: number): void {
    for (const fd of this.#kept.get(inode)?.values() ?? []) fd.close();
    this.#kept.delete(inode);
  }
}

/**
 * A datagram socket that can be sent to by whoever may look at our descriptors, and has no other name to be found or left
 * behind.
 * @returns the socket, and a descriptor of the name that it had
 */
function namelessSocket(directory: string): [Fd, Fd] {
  const socket = unixSocket(SOCK_DGRAM);
  try {
    receiveSenders(socket.number);
    // Before it has a name, so that it never has one with another mode.
    fchmodSync(socket.number, 0o600);
    using folder = new Fd(openSync(directory, O_PATH | O_DIRECTORY));
    // The directory's own path may be too long for an address. The registry removes such a file if we are killed here.
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
