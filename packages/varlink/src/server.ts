import type { EventLoop, SourceOptions } from '@sdrx/event';
import {
  beforeSpawn,
  close,
  EMFILE,
  EPOLLIN,
  Epoll,
  type Fd,
  isSystemError,
  type PeerCredentials,
  peerCredentials,
  SystemError,
  setNonBlocking,
  shutdown,
  unreadBytes,
  write,
} from '@sdrx/linux';
import { Observable, type Subscriber, Subscription } from 'rxjs';
import { acceptBatch } from './acceptor.js';
import { type Awaited, Connection, type ConnectionHost } from './connection.js';
import { Deadlines } from './deadlines.js';
import { hasRoomForConnection, hasRoomForMessage, mayAcceptAgain } from './descriptor-room.js';
import { type Bars, FdCloser } from './fd-closer.js';
import { type RefusalReason, refusal, type ServeLimits, serveLimits } from './limits.js';
import { Listener } from './listener.js';
import { encodeError } from './message.js';
import { ReceivePool } from './receive-pool.js';
import { Refusals } from './refusals.js';
import type { Service } from './service.js';
import { type User, Users } from './user.js';

/** How many connections one wake-up accepts, so that other processes that listen get theirs. */
const ACCEPT_BATCH = 32;

/** How long accepting stops for want of descriptors unless a connection closes before, in milliseconds. */
const EXHAUSTED_PAUSE = 1000;

/** While more descriptors of a user than this are being closed, nothing is read from that user. */
const MOST_CLOSING = 16;

/** By whom a connection is counted whose user is not known. */
const NOBODY = 65_534;

export interface ServeOptions extends SourceOptions {
  /** How many connections one wake-up accepts at most, 32 by default. */
  readonly acceptBatch?: number;
  /**
   * When it emits, the server stops accepting, answers the calls that have arrived completely, closes each connection
   * that has none, and completes when none is left. A call with `more` that never ends keeps it from that.
   */
  readonly drain?: Observable<unknown>;
  /** What clients may have; see `SERVE_LIMITS` for what is not given. */
  readonly limits?: Partial<ServeLimits>;
  /**
   * Who answers for a client, as a uid: what clients have for whom it returns the same is counted together, and events and bars
   * are of that uid. Asked once for each connection, at its begin; it must not throw. For a program whose users may have several
   * uids each. By default everybody answers for the own uid, SO_PEERCRED of unix(7).
   */
  readonly account?: (peer: PeerCredentials) => number;
  /**
   * Asked for each connection that the limits allow. What it returns is disposed of when the connection closes; undefined
   * refuses the connection, and so does an error, which is told as `failed`. unix(7) SO_PEERCRED
   */
  readonly admit?: (peer: PeerCredentials) => Disposable | undefined;
  /**
   * Asked for each descriptor that stays open while something is waited for, the rest of its message or a promised reply, and
   * while a handler starts a process. One that it returns false for is closed before that; a handler finds ENXIO in its
   * place. For a program that starts other ones: `isNeverFlushed` of @sdrx/linux says why. By default all may be held.
   */
  readonly holdFd?: (fd: number) => boolean;
  /**
   * Users who made closing a descriptor hang, and may pass no more of them; by default those of this server, for as long as it
   * is there.
   */
  readonly bars?: Bars;
}

/** What a server tells of its work. A `uid` is who answers for the client; see `ServeOptions.account`. */
export type ServerEvent =
  /** Connections were accepted, not refused; `waiting`: more wait still. */
  | { readonly type: 'accepted'; readonly count: number; readonly waiting: boolean }
  /** In this turn, `calls` calls arrived; `unanswered` are being worked on. Comes for turns that change either. */
  | { readonly type: 'worked'; readonly calls: number; readonly unanswered: number; readonly connections: number }
  /** In this turn, a user was refused something so often, for this reason. */
  | { readonly type: 'refused'; readonly uid: number; readonly reason: RefusalReason; readonly count: number }
  /** Closing a descriptor of this user's takes longer than a second, in a thread that waits for it, maybe for good. */
  | { readonly type: 'stuck'; readonly uid: number }
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
 * its connection, without an answer; one that meets a limit ends it with an error that says which.
 *
 * Descriptors that clients send are closed where it does not matter if that takes for ever.
 *
 * @param listenFd stays the caller's; it is made non-blocking
 * Fails with EINVAL if `listenFd` does not listen, ENOTSOCK, EBADF, RangeError for a limit that is no positive number.
 */
export function serve(
  loop: EventLoop,
  service: Service,
  listenFd: number,
  options: ServeOptions = {},
): Observable<ServerEvent> {
  return new Observable((subscriber) => {
    const server = new Server(loop, service, listenFd, options, serveLimits(options.limits), subscriber);
    subscriber.add(() => server[Symbol.dispose]());
    server.start();
  });
}

/** One subscription of `serve`. Connections wait in an epoll instance of their own, nested in the loop's. */
class Server implements ConnectionHost, Disposable {
  readonly receivers = new ReceivePool();
  working: Connection | undefined;
  readonly #epoll = new Epoll();
  readonly #listener: Listener;
  readonly #connections = new Map<number, Connection>();
  readonly #users = new Users();
  readonly #bars: Bars;
  readonly #closer: FdCloser<User>;
  readonly #refusals = new Refusals();
  readonly #deadlines: Readonly<Record<Awaited, Deadlines<Connection>>>;
  readonly #subscription = new Subscription();
  /** Whose waiting calls are looked at in the next turn of Node's loop. */
  readonly #resumable = new Set<User>();
  #lastId = 0;
  /** The highest number of a connection that left room for others. */
  #highest = 0;
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
    readonly limits: ServeLimits,
    readonly subscriber: Subscriber<ServerEvent>,
  ) {
    this.#bars = options.bars ?? new Set();
    this.#closer = new FdCloser({
      closed: (user) => {
        user.closing--;
        this.gaveFd(user);
      },
      stuck: ({ uid }) => this.#stuck(uid),
    });
    this.#listener = new Listener(
      loop,
      listenFd,
      options,
      () => this.#acceptBatch(),
      (error) => this.#exhausted(error),
    );
    const deadlines = (what: Awaited) =>
      new Deadlines<Connection>(this.limits[what], (connection) => this.#outsideTurn(() => connection.expired(what)));
    this.#deadlines = {
      messageTime: deadlines('messageTime'),
      callTime: deadlines('callTime'),
      replyTime: deadlines('replyTime'),
    };
  }

  start(): void {
    const {
      acceptBatch: _batch,
      limits: _limits,
      account: _account,
      admit: _admit,
      bars: _bars,
      holdFd: _hold,
      drain,
      ...source
    } = this.options;
    setNonBlocking(this.listenFd);
    this.#accept();
    this.#subscription.add(
      this.loop.io(this.#epoll.fd, { ...source, events: EPOLLIN }).subscribe({
        next: () => this.#turn(),
        complete: () => this.#listener[Symbol.dispose](),
      }),
    );
    this.#subscription.add(drain?.subscribe(() => this.#drain()));
    if (this.options.holdFd !== undefined) {
      const hook = beforeSpawn(() => this.working?.giveUp());
      this.#subscription.add(() => hook[Symbol.dispose]());
    }
  }

  wait({ fd, id }: Connection, events: number | undefined, before: number | undefined): void {
    if (events === undefined) this.#epoll.remove(fd);
    else if (before === undefined) this.#epoll.add(fd, events, id);
    else this.#epoll.modify(fd, events, id);
  }

  begun(user: User): void {
    user.calls++;
    this.#calls++;
    this.#unanswered++;
  }

  ended(user: User): void {
    user.calls--;
    this.#unanswered--;
    this.#resumeNext(user);
    this.#users.settle(user);
    if (!this.#inTurn) this.#tell();
  }

  awaits(what: Awaited, connection: Connection, on: boolean): void {
    if (on) this.#deadlines[what].begin(connection);
    else this.#deadlines[what].end(connection);
  }

  tookFds(user: User, fds: readonly number[]): RefusalReason | undefined {
    user.fds += fds.length;
    if (this.#bars.has(user.uid)) return 'bar';
    if (user.fds > this.limits.fdsPerUser) return 'fdsPerUser';
    return hasRoomForMessage(fds.at(-1) as number) ? undefined : 'descriptors';
  }

  dropFds(user: User, fds: readonly number[]): void {
    user.closing += fds.length;
    this.#closer.close(user, fds);
  }

  full({ calls, closing }: User): boolean {
    return calls >= this.limits.callsPerUser || closing > MOST_CLOSING;
  }

  mayHold(fd: number): boolean {
    return this.options.holdFd?.(fd) ?? true;
  }

  gaveFd(user: User): void {
    user.fds--;
    this.#resumeNext(user);
    this.#users.settle(user);
  }

  retire(user: User, fd: Fd, empty: boolean): void {
    const number = fd.take();
    if (empty || isDrained(number)) {
      close(number);
      return;
    }
    user.fds++;
    user.closing++;
    this.#closer.closeInThreads(user, [number]);
  }

  refused(user: User, reason: RefusalReason): void {
    this.#refusals.add(user.uid, reason);
    if (!this.#inTurn) this.#tell();
  }

  failed(error: unknown, method?: string): void {
    this.subscriber.next({ type: 'failed', error, method });
  }

  closed(connection: Connection): void {
    this.#connections.delete(connection.id);
    const { messageTime, callTime, replyTime } = this.#deadlines;
    for (const deadlines of [messageTime, callTime, replyTime]) deadlines.end(connection);
    const { user } = connection;
    user.connections--;
    this.#users.settle(user);
    connection.admission?.[Symbol.dispose]();
    if (this.subscriber.closed) return;
    if (this.#pause !== undefined) this.#resumeAccepting();
    this.#completeIfDrained();
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    clearTimeout(this.#pause);
    for (const connection of [...this.#connections.values()]) connection[Symbol.dispose]();
    for (const deadlines of Object.values(this.#deadlines)) deadlines[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
  }

  /** Handles what is ready on all sockets. */
  #turn(): void {
    this.#inTurn = true;
    const count = this.#epoll.poll();
    for (let index = 0; index < count && !this.subscriber.closed; index++) {
      this.#connections.get(this.#epoll.data(index))?.ready(this.#epoll.revents(index));
    }
    this.#endTurn();
    if (!this.subscriber.closed) this.#listener.look();
  }

  #endTurn(): void {
    this.#inTurn = false;
    this.#tell();
    this.#completeIfDrained();
  }

  /** Does what Node's own timers ask for. */
  #outsideTurn(work: () => void): void {
    if (this.subscriber.closed) return;
    this.#inTurn = true;
    try {
      work();
    } catch (error) {
      this.failed(error);
    }
    this.#endTurn();
  }

  #acceptBatch(): void {
    const { acceptBatch: limit = ACCEPT_BATCH } = this.options;
    this.#inTurn = true;
    try {
      const { count, waiting, exhausted } = acceptBatch(this.listenFd, limit, this.#connect);
      if (exhausted !== undefined) this.#exhausted(exhausted);
      // Another process may have been faster.
      if (count > 0) this.subscriber.next({ type: 'accepted', count, waiting });
    } catch (error) {
      this.subscriber.error(error);
    }
    this.#endTurn();
  }

  /** Takes over a connection; see `acceptBatch`. */
  readonly #connect = (fd: Fd): boolean | Error => {
    const peer = this.#peerOf(fd);
    if (peer === undefined) {
      const nobody = this.#users.of(NOBODY);
      this.retire(nobody, fd, false);
      this.#users.settle(nobody);
      return false;
    }
    const user = this.#users.of(this.options.account?.(peer) ?? peer.uid);
    const reason = this.#objection(user);
    if (reason !== undefined) return this.#refuse(fd, user, reason);
    let admission: Disposable | undefined;
    if (this.options.admit !== undefined) {
      admission = this.#admit(peer);
      if (admission === undefined) return this.#refuse(fd, user, 'admit');
    }
    this.#lastId = this.#lastId === 0xffff_ffff ? 1 : this.#lastId + 1;
    try {
      this.#epoll.add(fd.number, EPOLLIN, this.#lastId);
    } catch (error) {
      admission?.[Symbol.dispose]();
      this.failed(error);
      return this.#refuse(fd, user, 'watches');
    }
    const connection = new Connection(this, fd, user, peer, this.#lastId, admission);
    user.connections++;
    this.#connections.set(connection.id, connection);
    return this.#leavesRoom(fd.number) || new SystemError(EMFILE, 'accept4', String(this.listenFd));
  };

  /** Who connected; undefined if the kernel fails to tell, which costs that client only. */
  #peerOf(fd: Fd): PeerCredentials | undefined {
    try {
      return peerCredentials(fd.number);
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  #admit(peer: PeerCredentials): Disposable | undefined {
    try {
      return this.options.admit?.(peer);
    } catch (error) {
      this.failed(error);
      return undefined;
    }
  }

  /** Whether there is room for more than messages need when a connection has this number. */
  #leavesRoom(number: number): boolean {
    // Rarely more than one was before.
    if (number > this.#highest) {
      if (!hasRoomForConnection(number)) return false;
      this.#highest = number;
    }
    return true;
  }

  /** Why a user can't have another connection, if so. */
  #objection(user: User): RefusalReason | undefined {
    if (this.#connections.size >= this.limits.connections) return 'connections';
    if (user.connections >= this.limits.connectionsPerUser) return 'connectionsPerUser';
    return user.closing > MOST_CLOSING && this.#bars.has(user.uid) ? 'bar' : undefined;
  }

  /** Tells a new client why it can't be served, and closes. */
  #refuse(fd: Fd, user: User, reason: RefusalReason): false {
    this.refused(user, reason);
    try {
      // A new socket takes that much.
      write(fd.number, Buffer.from(encodeError(refusal(reason))));
    } catch (error) {
      // It may have left.
      if (!isSystemError(error)) throw error;
    }
    this.retire(user, fd, false);
    this.#users.settle(user);
    return false;
  }

  /** Accepts from now on, or from when the kernel has room to watch the socket. */
  #accept(): void {
    try {
      this.#listener.resume();
    } catch (error) {
      if (!isSystemError(error, 'ENOSPC', 'ENOMEM', 'EMFILE', 'ENFILE')) throw error;
      this.#exhausted(error);
    }
  }

  #exhausted(error: unknown): void {
    this.#listener.pause();
    // Node's timer: the loop's would want a descriptor, which is what there is none of.
    this.#pause ??= setTimeout(() => this.#resumeAccepting(), EXHAUSTED_PAUSE);
    this.subscriber.next({ type: 'exhausted', error: error instanceof Error ? error : new Error(String(error)) });
  }

  #resumeAccepting(): void {
    clearTimeout(this.#pause);
    this.#pause = undefined;
    if (this.#draining) return;
    if (mayAcceptAgain()) this.#accept();
    else this.#pause = setTimeout(() => this.#resumeAccepting(), EXHAUSTED_PAUSE);
  }

  #stuck(uid: number): void {
    this.#bars.add(uid);
    if (!this.subscriber.closed) this.subscriber.next({ type: 'stuck', uid });
  }

  /** Has those that wait for this user's turn begin, soon: this may be the end of one call within another one's work. */
  #resumeNext(user: User): void {
    if (user.waiting.size === 0 || this.#resumable.has(user)) return;
    this.#resumable.add(user);
    if (this.#resumable.size > 1) return;
    setImmediate(() => this.#outsideTurn(() => this.#resumeWaiting()));
  }

  #resumeWaiting(): void {
    const users = [...this.#resumable];
    this.#resumable.clear();
    for (const user of users) {
      // Not each of them begins a call: it may have left, or sent no more than a part of one.
      for (const waiter of user.waiting) {
        if (this.full(user)) break;
        user.waiting.delete(waiter);
        waiter.resume();
      }
    }
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#listener.pause();
    for (const connection of [...this.#connections.values()]) connection.drain();
    if (!this.#inTurn) this.#tell();
    this.#completeIfDrained();
  }

  #tell(): void {
    if (!this.#refusals.empty) {
      for (const refusal of this.#refusals.take()) this.subscriber.next({ type: 'refused', ...refusal });
    }
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

/** Whether nothing is in a connection's socket that would be dropped with it, and might hang. Nothing more comes into it. */
function isDrained(fd: number): boolean {
  try {
    shutdown(fd);
    return unreadBytes(fd) === 0;
  } catch {
    return false;
  }
}
