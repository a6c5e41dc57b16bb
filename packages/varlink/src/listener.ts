import type { EventLoop, SourceOptions } from '@sdrx/event';
import { NodePoll } from '@sdrx/linux';
import type { Subscription } from 'rxjs';

/**
 * Tells when connections wait on a listening socket, as a source of the loop. The socket stands in Node's own epoll set, not
 * in one that is nested in it: the kernel lets one file wake up a hundred others through three nested sets, but any number
 * directly, and as many processes as there are workers listen on one socket.
 */
export class Listener implements Disposable {
  readonly #loop: EventLoop;
  readonly #fd: number;
  readonly #options: SourceOptions;
  readonly #ready: () => void;
  readonly #failed: (error: unknown) => void;
  #poll: NodePoll | undefined;
  #watching = false;
  /** Whether Node does not ask, as what it would say is known. */
  #silent = false;
  /** What waits for its turn in the loop. */
  #turn: Subscription | undefined;

  /**
   * @param options of the source; `ratelimit` and `prepare` do not count
   * @param ready is called in the loop's turn while connections wait
   * @param failed is called when the kernel can't watch the socket any more, which is then paused
   */
  constructor(
    loop: EventLoop,
    fd: number,
    { priority, description, exitOnFailure }: SourceOptions,
    ready: () => void,
    failed: (error: unknown) => void,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#options = {
      ...(priority !== undefined && { priority }),
      ...(description !== undefined && { description }),
      ...(exitOnFailure !== undefined && { exitOnFailure }),
    };
    this.#ready = ready;
    this.#failed = failed;
  }

  /** Begins to tell. Throws EBADF, EPERM, ENOSPC, ENOMEM, EMFILE. */
  resume(): void {
    if (this.#watching) return;
    if (this.#poll === undefined) {
      this.#poll = new NodePoll(this.#fd, () => this.#poke());
      this.#poll.unref();
    } else {
      this.#poll.resume();
    }
    this.#watching = true;
  }

  /** Tells no more until `resume`. */
  pause(): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.#silent = false;
    this.#poll?.pause();
    this.#turn?.unsubscribe();
    this.#turn = undefined;
  }

  [Symbol.dispose](): void {
    this.pause();
    this.#poll?.[Symbol.dispose]();
    this.#poll = undefined;
  }

  /** Called by Node as long as connections wait. */
  #poke(): void {
    if (!this.#watching) return;
    if (this.#turn !== undefined) {
      // The loop does not run yet, or has more important things to do; Node need not ask all the while.
      this.#silent = true;
      this.#poll?.pause();
      return;
    }
    this.#turn = this.#loop.defer(this.#options).subscribe({
      next: () => this.#take(),
      // The loop has ended.
      error: () => this[Symbol.dispose](),
    });
  }

  #take(): void {
    this.#turn = undefined;
    this.#ready();
    if (!this.#silent) return;
    this.#silent = false;
    try {
      this.#poll?.resume();
    } catch (error) {
      this.#watching = false;
      this.#failed(error);
    }
  }
}
