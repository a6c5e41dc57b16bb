import koffi from 'koffi';
import { checkBoolean, checkFd, checkFunction, checkObject } from '../arguments.js';
import { EEXIST } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { threadEnd } from '../thread/thread-end.js';
import { ThreadPoll } from '../thread/thread-poll.js';
import { EPOLLIN, Epoll } from './epoll.js';
import { ExclusivePoll } from './exclusive-poll.js';
import type { PollHandle } from './poll-handle.js';

// A poll handle that is collected as garbage stops without a word, so those in use are referenced from here.
const watched = new Map<number, PollHandle>();

/** How a `NodePoll` watches. */
export interface NodePollOptions {
  /**
   * Whether of all who watch the same file like this the kernel wakes one that waits, and no other. For what one of them takes away,
   * as a connection by accept(2); if that one does not, nobody is woken for it any more. By default all are. EPOLLEXCLUSIVE of
   * epoll_ctl(2). In a worker thread this makes no difference.
   */
  readonly exclusive?: boolean;
}

/** Watches one fd in Node's own event loop. It keeps Node alive, until `unref`. Dispose of it before the fd is closed. */
export class NodePoll implements Disposable {
  readonly #fd: number;
  readonly #ready: () => void;
  #handle: PollHandle | undefined;

  /**
   * Calls `ready` whenever `fd` is readable, any pollable one, an epoll instance included; it becomes non-blocking. `ready` must
   * not throw: an error would be swallowed. Nor may it rely on nextTick or promises, which on Node 26 do not run after it; what
   * it wants done belongs in a setImmediate, which runs in the same turn of the loop, in a worker thread in the next one.
   *
   * An fd that Node itself watches, one of its sockets, ends the process.
   * @throws EPERM for an fd that can't be polled (a regular file, a directory), EBADF, EEXIST when one already watches it
   */
  constructor(fd: number, ready: () => void, options: NodePollOptions = {}) {
    checkFd(fd);
    checkFunction('ready', ready);
    checkObject('options', options);
    const { exclusive = false } = options;
    checkBoolean('exclusive', exclusive);
    if (watched.has(fd)) throw new SystemError(EEXIST, 'poll', String(fd));
    requirePollable(fd);
    this.#fd = fd;
    this.#ready = ready;
    this.#handle = watch(fd, ready, exclusive);
    watched.set(fd, this.#handle);
  }

  /** Lets Node end while it watches. */
  unref(): void {
    this.#handle?.unref();
  }

  /** Calls no more, until `resume`. */
  pause(): void {
    this.#handle?.stop();
  }

  /** Calls again. epoll_ctl(2) @throws ENOSPC or ENOMEM when the kernel watches too much already */
  resume(): void {
    if (this.#handle === undefined) return;
    requirePollable(this.#fd);
    this.#handle.start({ readable: true }, this.#ready);
  }

  /** Has others woken before, of those that watch the same file exclusively. @throws ENOSPC or ENOMEM, as `resume` */
  yield(): void {
    if (!(this.#handle instanceof ExclusivePoll)) return;
    this.#handle.yield();
  }

  [Symbol.dispose](): void {
    if (this.#handle === undefined) return;
    watched.delete(this.#fd);
    this.#handle.close();
    this.#handle = undefined;
  }
}

function watch(fd: number, ready: () => void, exclusive: boolean): PollHandle {
  if (threadEnd !== undefined) return new ThreadPoll(fd, ready);
  return exclusive ? new ExclusivePoll(fd, ready) : koffi.node.poll(fd, { readable: true }, ready);
}

/** Node aborts the process when the kernel refuses to watch an fd, so find out before. */
function requirePollable(fd: number): void {
  using probe = new Epoll();
  probe.add(fd, EPOLLIN, 0);
}
