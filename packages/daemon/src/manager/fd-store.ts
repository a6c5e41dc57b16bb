import type { EventLoop, IoEvent } from '@sdrx/event';
import { Fd, isSystemError, ReceiveBuffer, statx } from '@sdrx/linux';
import { type Observable, tap } from 'rxjs';
import type { WorkerPool } from '../pool/worker-pool.js';
import type { Log } from '../program/log.js';
import type { NotifySocket } from './notify-socket.js';

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
  readonly #buffer = new ReceiveBuffer(MESSAGE_SIZE);
  readonly #kept = new Map<number, Map<bigint, Fd>>();

  /**
   * @param socket stays the caller's
   * @param workers the processes that may have something kept
   */
  constructor(
    readonly socket: NotifySocket,
    readonly workers: Pick<WorkerPool, 'has'>,
    readonly log: Log,
  ) {}

  /** Listens while subscribed. */
  run(loop: EventLoop): Observable<IoEvent> {
    // Before a worker's death is noticed: what it sent until then counts.
    return loop.io(this.socket.fd.number, { priority: -1, description: 'fd store' }).pipe(tap(() => this.receive()));
  }

  /** Deals with what was sent so far. */
  receive(): void {
    for (;;) {
      const fds: number[] = [];
      let size: number | undefined;
      try {
        size = this.#buffer.receive(this.socket.fd.number, fds);
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
  }

  #obey(text: string, fds: readonly Fd[]): void {
    const { sender } = this.#buffer;
    if (sender === undefined || !this.workers.has(sender.pid)) {
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
