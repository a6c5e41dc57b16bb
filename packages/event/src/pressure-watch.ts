import { EPOLLPRI, Epoll, NodePoll } from '@sdrx/linux';

/**
 * Watches one of the kernel's pressure files. psi.rst
 *
 * Whoever asks such a file for its events takes them. In the loop's epoll set they would be lost: Node's own set holds that one,
 * and asks what is in it to learn whether it is ready, so that there is nothing left when the loop asks. Here they have a set
 * to themselves, and Node's word that it is ready is the event. One that comes before Node's next turn may still be lost; while
 * memory is short the next one follows in two seconds.
 */
export class PressureWatch implements Disposable {
  readonly #epoll = new Epoll();
  readonly #poll: NodePoll;

  /**
   * Calls `ready` with an EPOLL* mask, EPOLLERR in it if the file was removed; it must not throw. Does not keep Node alive.
   * @param fd stays the caller's, who closes it afterwards
   */
  constructor(fd: number, ready: (revents: number) => void) {
    try {
      this.#epoll.add(fd, EPOLLPRI, 0);
      this.#poll = new NodePoll(this.#epoll.fd, () =>
        ready(this.#epoll.poll() > 0 ? this.#epoll.revents(0) : EPOLLPRI),
      );
      this.#poll.unref();
    } catch (error) {
      this.#epoll[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#poll[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
  }
}
