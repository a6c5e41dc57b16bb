import koffi from 'koffi';
import { checkFd, checkFunction } from '../arguments.js';
import { EEXIST } from '../error/errno.js';
import { SystemError } from '../error/system-error.js';
import { threadEnd } from '../thread/thread-end.js';
import { ThreadPoll } from '../thread/thread-poll.js';
import { EPOLLIN, Epoll } from './epoll.js';

// A poll handle that is collected as garbage stops without a word, so those in use are referenced from here.
const watched = new Map<number, Handle>();

/** What koffi's PollHandle has. */
interface Handle {
  unref(): void;
  stop(): void;
  start(options: { readonly readable: true }, ready: () => void): void;
  close(): void;
}

/** Watches one fd in Node's own event loop. It keeps Node alive, until `unref`. Dispose of it before the fd is closed. */
export class NodePoll implements Disposable {
  readonly #fd: number;
  readonly #ready: () => void;
  #handle: Handle | undefined;

  /**
   * Calls `ready` whenever `fd` is readable, any pollable one, an epoll instance included; it becomes non-blocking. `ready` must
   * not throw: an error would be swallowed. Nor may it rely on nextTick or promises, which on Node 26 do not run after it; what
   * it wants done belongs in a setImmediate, which runs in the same turn of the loop, in a worker thread in the next one.
   *
   * An fd that Node itself watches, one of its sockets, ends the process.
   * @throws EPERM for an fd that can't be polled (a regular file, a directory), EBADF, EEXIST when one already watches it
   */
  constructor(fd: number, ready: () => void) {
    checkFd(fd);
    checkFunction('ready', ready);
    if (watched.has(fd)) throw new SystemError(EEXIST, 'poll', String(fd));
    requirePollable(fd);
    this.#fd = fd;
    this.#ready = ready;
    this.#handle = threadEnd === undefined ? koffi.node.poll(fd, { readable: true }, ready) : new ThreadPoll(fd, ready);
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

  [Symbol.dispose](): void {
    if (this.#handle === undefined) return;
    watched.delete(this.#fd);
    this.#handle.close();
    this.#handle = undefined;
  }
}

/** Node aborts the process when the kernel refuses to watch an fd, so find out before. */
function requirePollable(fd: number): void {
  using probe = new Epoll();
  probe.add(fd, EPOLLIN, 0);
}
