import { AsyncResource } from 'node:async_hooks';
import type { EventLoop } from '@sdrx/event';
import { isSeenWaiting, NodePoll } from '@sdrx/linux';
import type { Observable, Observer, Subscription } from 'rxjs';
import type { ServeOptions } from './serve-options.js';

/** How often one of several processes looks for connections that another one was woken for, and left, and how late, in milliseconds. */
const LOOK_INTERVAL = 1000;
const LOOK_ACCURACY = 250;

/**
 * Tells when connections wait on a listening socket, as a source of the loop. The socket stands in Node's own epoll set, not
 * in one that is nested in it: the kernel lets one file wake up a hundred others through three nested sets, but any number
 * directly, and as many processes as there are workers listen on one socket.
 */
export class Listener implements Disposable {
  readonly #loop: EventLoop;
  readonly #fd: number;
  readonly #exclusive: boolean;
  readonly #next: Observable<void>;
  readonly #observer: Partial<Observer<void>>;
  /** Calls are answered in the context of who serves, whoever tells that there are connections. */
  readonly #context = new AsyncResource('SDRX_VARLINK_LISTENER', { requireManualDestroy: true });
  readonly #ready: () => void;
  readonly #failed: (error: unknown) => void;
  #poll: NodePoll | undefined;
  #looks: Subscription | undefined;
  #watching = false;
  /** Whether Node does not ask, as what it would say is known. */
  #silent = false;
  /** What waits for its turn in the loop, and how often Node has told of it once more. */
  #turn: Subscription | undefined;
  #pokes = 0;

  /**
   * @param options of the source; `ratelimit` and `prepare` do not count
   * @param ready is called in the loop's turn while connections wait
   * @param failed is called when the kernel can't watch the socket any more, which is then paused
   */
  constructor(
    loop: EventLoop,
    fd: number,
    { priority, description, exitOnFailure, exclusive = false }: ServeOptions,
    ready: () => void,
    failed: (error: unknown) => void,
  ) {
    this.#loop = loop;
    this.#fd = fd;
    this.#exclusive = exclusive;
    this.#next = loop.defer({
      ...(priority !== undefined && { priority }),
      ...(description !== undefined && { description }),
      ...(exitOnFailure !== undefined && { exitOnFailure }),
    });
    this.#observer = {
      next: () => this.#take(),
      // The loop has ended.
      error: () => this[Symbol.dispose](),
    };
    this.#ready = ready;
    this.#failed = failed;
  }

  /** Begins to tell. @throws EBADF, EPERM, ENOSPC, ENOMEM, EMFILE */
  resume(): void {
    if (this.#watching) return;
    if (this.#poll === undefined) {
      this.#poll = new NodePoll(this.#fd, () => this.#poke(), { exclusive: this.#exclusive });
      this.#poll.unref();
    } else {
      this.#poll.resume();
    }
    this.#watching = true;
    if (!this.#exclusive) return;
    const looks = { every: LOOK_INTERVAL, accuracy: LOOK_ACCURACY, description: 'look for connections' };
    this.#looks = this.#loop.time(looks).subscribe({ next: () => this.look(), error: () => {} });
  }

  /**
   * Asks the kernel whether connections wait. Node asks only when the loop's turn is over, which takes as long as all the
   * rest of a short connection.
   */
  look(): void {
    if (!this.#watching || this.#turn !== undefined || !isSeenWaiting(this.#fd)) return;
    this.#await();
  }

  /** Lets other processes go first, of those that serve the same socket exclusively. */
  yield(): void {
    if (this.#exclusive && this.#watching && !this.#silent) this.#resume(() => this.#poll?.yield());
  }

  /** Tells no more until `resume`. */
  pause(): void {
    if (!this.#watching) return;
    this.#watching = false;
    this.#silent = false;
    this.#looks?.unsubscribe();
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
      // Usually its turn comes now.
      if (this.#pokes++ === 0) return;
      // The loop does not run yet, or has more important things to do; Node need not ask all the while.
      this.#silent = true;
      this.#poll?.pause();
      return;
    }
    this.#await();
  }

  /** Waits for the loop's turn. */
  #await(): void {
    this.#turn = this.#context.runInAsyncScope(() => this.#next.subscribe(this.#observer));
  }

  #take(): void {
    this.#turn = undefined;
    this.#pokes = 0;
    this.#ready();
    if (!this.#silent) return;
    this.#silent = false;
    this.#resume(() => this.#poll?.resume());
  }

  /** Has the kernel watch again. */
  #resume(watch: () => void): void {
    try {
      watch();
    } catch (error) {
      this.#watching = false;
      this.#failed(error);
    }
  }
}
