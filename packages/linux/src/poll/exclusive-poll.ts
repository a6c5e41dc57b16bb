import koffi from 'koffi';
import { type Fd, setNonBlocking } from '../fd/fd.js';
import type { Address } from '../thread/thread-end.js';
import { EPOLLEXCLUSIVE, EPOLLIN } from './epoll.js';
import { controlEpoll, EPOLL_CTL_ADD, removeFromEpoll } from './epoll-control.js';
import { eventfd } from './eventfd.js';
import type { PollHandle } from './poll-handle.js';

/*
 * libuv watches without EPOLLEXCLUSIVE. So the descriptor is put into libuv's own epoll set beside what libuv puts there, under the
 * number of another one, by which libuv finds whom to call. That other one is an eventfd that never becomes readable.
 */

/** The epoll instance of the main thread's loop, https://docs.libuv.org. */
function nodeEpoll(): number {
  const program = koffi.load(null);
  const loop = (program.func('intptr_t uv_default_loop()') as unknown as () => Address)();
  return (program.func('int uv_backend_fd(intptr_t)') as unknown as (loop: Address) => number)(loop);
}

/** As koffi's PollHandle, for one of several processes of which the kernel is to wake one. For the main thread. */
export class ExclusivePoll implements PollHandle {
  readonly #fd: number;
  readonly #epoll = nodeEpoll();
  readonly #bell: Fd = eventfd();
  readonly #handle: PollHandle;
  #watching = false;

  /** @throws EPERM, EBADF, ENOSPC, ENOMEM, EMFILE */
  constructor(fd: number, ready: () => void) {
    this.#fd = fd;
    // As libuv does it.
    setNonBlocking(fd);
    this.#handle = koffi.node.poll(this.#bell.number, { readable: true }, ready);
    try {
      this.#watch();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  unref(): void {
    this.#handle.unref();
  }

  stop(): void {
    this.#unwatch();
    this.#handle.stop();
  }

  start(options: { readonly readable: true }, ready: () => void): void {
    this.#handle.start(options, ready);
    this.#watch();
  }

  /** The kernel asks those first that have watched for longest. */
  yield(): void {
    if (!this.#watching) return;
    this.#unwatch();
    this.#watch();
  }

  close(): void {
    this.#unwatch();
    this.#handle.close();
    this.#bell.close();
  }

  #watch(): void {
    if (this.#watching) return;
    controlEpoll(this.#epoll, EPOLL_CTL_ADD, this.#fd, EPOLLIN | EPOLLEXCLUSIVE, this.#bell.number);
    this.#watching = true;
  }

  /** Before the eventfd goes: libuv would be told of a descriptor of which it does not know. */
  #unwatch(): void {
    if (!this.#watching) return;
    this.#watching = false;
    removeFromEpoll(this.#epoll, this.#fd);
  }
}
