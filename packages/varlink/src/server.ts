import type { EventLoop, SourceOptions } from '@sdrx/event';
import { EPOLLIN, Epoll, type Fd, setNonBlocking } from '@sdrx/linux';
import { Observable, type Subscriber, Subscription } from 'rxjs';
import { acceptBatch } from './acceptor.js';
import { Connection, type ConnectionHost } from './connection.js';
import { ReceivePool } from './receive-pool.js';
import type { Service } from './service.js';

/** How many connections one wake-up accepts, so that other processes that listen get theirs. */
const ACCEPT_BATCH = 32;

/** How long accepting stops for want of descriptors unless a connection closes before, in milliseconds. */
const EXHAUSTED_PAUSE = 1000;

/** The listening socket in the server's epoll; connections count from 1. */
const LISTENER = 0;

export interface ServeOptions extends SourceOptions {
  /** How many connections one wake-up accepts at most, 32 by default. */
  readonly acceptBatch?: number;
  /**
   * When it emits, the server stops accepting, answers the calls that have arrived completely, closes each connection
   * that has none, and completes when none is left. A call with `more` that never ends keeps it from that.
   */
  readonly drain?: Observable<unknown>;
}

/** What a server tells of its work. */
export type ServerEvent =
  /** Connections were accepted; `waiting`: more wait still. */
  | { readonly type: 'accepted'; readonly count: number; readonly waiting: boolean }
  /** In this turn, `calls` calls arrived; `unanswered` are being worked on. Comes for turns that change either. */
  | { readonly type: 'worked'; readonly calls: number; readonly unanswered: number; readonly connections: number }
  /** No descriptor or memory for another connection: accepting stops for a second, or until a connection closes. */
  | { readonly type: 'exhausted'; readonly error: Error }
  /** A handler of ours threw something that is no VarlinkError, or a connection broke down. */
  | { readonly type: 'failed'; readonly error: unknown; readonly method: string | undefined };

/**
 * Serves Varlink on a listening stream socket of the family AF_UNIX while subscribed; to unsubscribe closes all
 * connections. varlink.org/Method-Call
 *
 * For the loop all connections together are one source, with the priority given in `options`. Calls of one connection
 * are answered in the order they came; connections are independent of each other. A message that is no Varlink call ends
 * its connection, without an answer.
 *
 * @param listenFd stays the caller's; it is made non-blocking
 * Fails with EINVAL if `listenFd` does not listen, ENOTSOCK, EBADF.
 */
export function serve(
  loop: EventLoop,
  service: Service,
  listenFd: number,
  options: ServeOptions = {},
): Observable<ServerEvent> {
  return new Observable((subscriber) => {
    const server = new Server(loop, service, listenFd, options, subscriber);
    subscriber.add(() => server[Symbol.dispose]());
    server.start();
  });
}

/** One subscription of `serve`. Connections wait in an epoll instance of their own, nested in the loop's. */
class Server implements ConnectionHost, Disposable {
  readonly receivers = new ReceivePool();
  readonly #epoll = new Epoll();
  readonly #connections = new Map<number, Connection>();
  readonly #subscription = new Subscription();
  #lastId = LISTENER;
  #accepting = false;
  #draining = false;
  #inTurn = false;
  #calls = 0;
  #unanswered = 0;
  #toldUnanswered = 0;
  #pause: NodeJS.Timeout | undefined;

  constructor(
    readonly loop: EventLoop,
    readonly service: Service,
    readonly listenFd: number,
    readonly options: ServeOptions,
    readonly subscriber: Subscriber<ServerEvent>,
  ) {}

  start(): void {
    const { acceptBatch: _, drain, ...source } = this.options;
    setNonBlocking(this.listenFd);
    this.#accept(true);
    this.#subscription.add(this.loop.io(this.#epoll.fd, { ...source, events: EPOLLIN }).subscribe(() => this.#turn()));
    this.#subscription.add(drain?.subscribe(() => this.#drain()));
  }

  wait({ fd, id }: Connection, events: number | undefined, before: number | undefined): void {
    if (events === undefined) this.#epoll.remove(fd);
    else if (before === undefined) this.#epoll.add(fd, events, id);
    else this.#epoll.modify(fd, events, id);
  }

  begun(): void {
    this.#calls++;
    this.#unanswered++;
  }

  ended(): void {
    this.#unanswered--;
    if (!this.#inTurn) this.#tell();
  }

  failed(error: unknown, method?: string): void {
    this.subscriber.next({ type: 'failed', error, method });
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection.id);
    if (this.subscriber.closed) return;
    if (this.#pause !== undefined) this.#resume();
    this.#completeIfDrained();
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    clearTimeout(this.#pause);
    for (const connection of [...this.#connections.values()]) connection[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
  }

  /** Handles what is ready on all sockets. */
  #turn(): void {
    this.#inTurn = true;
    const count = this.#epoll.poll();
    // The listener last: who is here already comes first.
    let listener = false;
    for (let index = 0; index < count && !this.subscriber.closed; index++) {
      const id = this.#epoll.data(index);
      if (id === LISTENER) listener = true;
      else this.#connections.get(id)?.ready(this.#epoll.revents(index));
    }
    if (listener && this.#accepting && !this.subscriber.closed) this.#acceptBatch();
    this.#inTurn = false;
    this.#tell();
    this.#completeIfDrained();
  }

  #acceptBatch(): void {
    const { acceptBatch: limit = ACCEPT_BATCH } = this.options;
    try {
      const { count, waiting, exhausted } = acceptBatch(this.listenFd, limit, (fd) => this.#connect(fd));
      if (exhausted !== undefined) this.#exhausted(exhausted);
      // Another process may have been faster.
      if (count > 0) this.subscriber.next({ type: 'accepted', count, waiting });
    } catch (error) {
      this.subscriber.error(error);
    }
  }

  #connect(fd: Fd): void {
    this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    const connection = new Connection(this, fd, this.#lastId);
    this.#connections.set(connection.id, connection);
    try {
      this.#epoll.add(fd.number, EPOLLIN, connection.id);
    } catch (error) {
      connection[Symbol.dispose]();
      throw error;
    }
  }

  #accept(on: boolean): void {
    if (on === this.#accepting) return;
    this.#accepting = on;
    if (on) this.#epoll.add(this.listenFd, EPOLLIN, LISTENER);
    else this.#epoll.remove(this.listenFd);
  }

  #exhausted(error: Error): void {
    this.#accept(false);
    // Node's timer: the loop's would want a descriptor, which is what there is none of.
    this.#pause = setTimeout(() => this.#resume(), EXHAUSTED_PAUSE);
    this.subscriber.next({ type: 'exhausted', error });
  }

  #resume(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    if (!this.#draining) this.#accept(true);
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#accept(false);
    for (const connection of [...this.#connections.values()]) connection.drain();
    if (!this.#inTurn) this.#tell();
    this.#completeIfDrained();
  }

  #tell(): void {
    if (this.#calls === 0 && this.#unanswered === this.#toldUnanswered) return;
    const calls = this.#calls;
    this.#calls = 0;
    this.#toldUnanswered = this.#unanswered;
    this.subscriber.next({ type: 'worked', calls, unanswered: this.#unanswered, connections: this.#connections.size });
  }

  /** Not while connections are being handled: who completes us closes them. */
  #completeIfDrained(): void {
    if (this.#draining && !this.#inTurn && this.#connections.size === 0) this.subscriber.complete();
  }
}
