import type { EventLoop } from '@sdrx/event';
import {
  atLoad,
  beforeSpawn,
  close,
  EMFILE,
  EPOLLIN,
  Epoll,
  type Fd,
  isSystemError,
  SystemError,
  setNonBlocking,
} from '@sdrx/linux';
import { Subscription } from 'rxjs';
import { acceptBatch } from './acceptor.js';
import { type Awaited, Connection, type ConnectionHost, type Leave } from './connection.js';
import { Deadlines } from './deadlines.js';
import { hasRoomForConnection, hasRoomForMessage, mayAcceptAgain } from './descriptor-room.js';
import { type Bars, FdCloser, MOST_CLOSING } from './fd-closer.js';
import { Gate, type GateHost } from './gate.js';
import type { RefusalReason, ServeLimits } from './limits.js';
import { Listener } from './listener.js';
import { ReceivePool } from './receive-pool.js';
import { Refusals } from './refusals.js';
import type { ServeOptions } from './serve-options.js';
import type { ServerEvent } from './server-event.js';
import type { Service } from './service.js';
import { UpgradedConnection } from './upgraded-connection.js';
import { type User, Users } from './user.js';

/** How many connections one wake-up accepts, so that other processes that listen get theirs. */
const ACCEPT_BATCH = 32;

/** How many connections of one user have their turn before those of others have theirs, and new ones are accepted. */
const SHARE = 4;

/** How long a connection may take to its first call once a drain has begun, in milliseconds. */
const FIRST_CALL = 1000;

const ROOT = 0;
const SECOND = 1000;

/** How long accepting stops for want of descriptors unless a connection closes before, in milliseconds. */
const EXHAUSTED_PAUSE = 1000;

/** Whose server it is: hears what it tells, and disposes of it when it has completed or failed. */
export interface ServerOwner {
  /** Whether it has been disposed of, or is about to be. */
  readonly closed: boolean;
  next(event: ServerEvent): void;
  error(error: unknown): void;
  complete(): void;
}

/**
 * Serves the connections of a listening socket, or one that it is given. They wait in an epoll instance of their own, nested in the
 * loop's.
 */
export class Server implements ConnectionHost, GateHost, Disposable {
  readonly receivers = new ReceivePool();
  working: Connection | undefined;
  readonly #epoll = new Epoll();
  readonly #listener: Listener;
  readonly #connections = new Map<number, Connection>();
  /** Those that speak another protocol. */
  readonly #upgraded = new Set<UpgradedConnection>();
  readonly #users = new Users();
  readonly #bars: Bars;
  readonly #closer: FdCloser<User>;
  readonly #gate: Gate;
  readonly #refusals = new Refusals();
  readonly #seconds = new Deadlines<User>(SECOND, (user) => {
    user.recentCalls = 0;
    this.#resumeNext(user);
    this.#users.settle(user);
  });
  readonly #deadlines: Readonly<Record<Awaited, Deadlines<Connection>>>;
  /** In a drain, those whose first call has not come. */
  readonly #unused = new Deadlines<Connection>(FIRST_CALL, (connection) => this.#outsideTurn(() => connection.hurry()));
  readonly #subscription = new Subscription();
  /** Whose waiting calls are looked at in the next turn of Node's loop. */
  readonly #resumable = new Set<User>();
  /** Those of the last batch that had not sent a call. */
  readonly #silent: Connection[] = [];
  #lastId = 0;
  #lastTurn = 0;
  /** The highest number of a connection that left room for others. */
  #highest = 0;
  /** Whether new connections are wanted, also while there is no room for them. */
  #accepting = false;
  /** Whether no connection comes after those that there are. */
  #last = false;
  #draining = false;
  #inTurn = false;
  #calls = 0;
  #unanswered = 0;
  #toldUnanswered = 0;
  #pause: NodeJS.Timeout | undefined;

  /**
   * @param listenFd stays the caller's; −1 for none
   * @param changed is called when there are more connections, or fewer
   */
  constructor(
    readonly loop: EventLoop,
    readonly service: Service,
    readonly listenFd: number,
    readonly options: ServeOptions,
    readonly limits: ServeLimits,
    readonly owner: ServerOwner,
    readonly changed: (() => void) | undefined = undefined,
  ) {
    this.#bars = options.bars ?? new Set();
    this.#closer = new FdCloser({
      closed: (user, count) => {
        user.closing -= count;
        this.#gave(user, count);
      },
      stuck: ({ uid }) => this.#stuck(uid),
    });
    this.#gate = new Gate(this, options, limits, this.#users, this.#bars);
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

  /** How many connections there are, whatever they speak. */
  get connections(): number {
    return this.#connections.size + this.#upgraded.size;
  }

  /** Begins to serve those that there will be. */
  start(): void {
    const {
      acceptBatch: _batch,
      exclusive: _exclusive,
      limits: _limits,
      account: _account,
      admit: _admit,
      bars: _bars,
      holdFd: _hold,
      drain: _drain,
      ...source
    } = this.options;
    this.#subscription.add(
      this.loop.io(this.#epoll.fd, { ...source, events: EPOLLIN }).subscribe({
        next: () => this.#turn(),
        complete: () => this.owner.complete(),
      }),
    );
    if (this.options.holdFd !== undefined) {
      const hook = beforeSpawn(() => this.working?.giveUp());
      this.#subscription.add(() => hook[Symbol.dispose]());
    }
  }

  /** Accepts connections, from now on or again. */
  resume(): void {
    if (this.#last || this.#accepting) return;
    this.#accepting = true;
    setNonBlocking(this.listenFd);
    this.#accept();
    // Node would tell only after the next poll, by when a program that pauses often has paused again.
    this.#listener.look();
  }

  /** Leaves new connections in the socket. */
  pause(): void {
    this.#accepting = false;
    this.#listener.pause();
    atLoad.clearTimeout(this.#pause);
    this.#pause = undefined;
  }

  /** Serves one that is connected already, and completes when it ends. @param fd is ours from now on */
  serveOnly(fd: Fd): void {
    this.#last = true;
    setNonBlocking(fd.number);
    this.#connect(fd);
    this.#completeIfLast();
  }

  /** Accepts no more, answers what has arrived, and completes when no connection is left. */
  drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    this.#last = true;
    this.pause();
    for (const connection of [...this.#connections.values()]) {
      connection.drain();
      if (!connection.closed) this.#unused.begin(connection);
    }
    this.#gate.empty();
    if (!this.#inTurn) this.#tell();
    this.#completeIfLast();
  }

  wait({ fd, id }: Connection, events: number | undefined, before: number | undefined): void {
    if (events === undefined) this.#epoll.remove(fd);
    else if (before === undefined) this.#epoll.add(fd, events, id);
    else this.#epoll.modify(fd, events, id);
  }

  stays(): void {
    this.#listener.yield();
  }

  begun(user: User): void {
    user.calls++;
    if (user.uid !== ROOT && this.limits.callsPerSecond !== Number.POSITIVE_INFINITY) {
      if (user.recentCalls++ === 0) this.#seconds.begin(user);
    }
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

  full({ calls, recentCalls, closing }: User): boolean {
    const { callsPerUser, callsPerSecond } = this.limits;
    return calls >= callsPerUser || recentCalls >= callsPerSecond || closing > MOST_CLOSING;
  }

  mayHold(fd: number): boolean {
    return this.options.holdFd?.(fd) ?? true;
  }

  gaveFd(user: User): void {
    this.#gave(user, 1);
  }

  retire(user: User, fd: Fd, empty: boolean): void {
    const number = fd.take();
    if (empty) {
      close(number);
      return;
    }
    user.fds++;
    user.closing++;
    this.#closer.retire(user, number);
  }

  refused(user: User, reason: RefusalReason): void {
    this.#refusals.add(user.uid, reason);
    if (!this.#inTurn) this.#tell();
  }

  failed(error: unknown, method?: string): void {
    this.owner.next({ type: 'failed', error, method });
  }

  closed(connection: Connection): void {
    this.#forget(connection);
    this.#left(connection);
  }

  upgraded(connection: Connection, fd: Fd, head: Buffer, { use, method }: Leave): void {
    this.#forget(connection);
    const upgraded = new UpgradedConnection(fd, head, connection.peer, () => {
      this.#upgraded.delete(upgraded);
      this.#left(connection);
    });
    this.#upgraded.add(upgraded);
    const fail = (error: unknown) => {
      upgraded[Symbol.dispose]();
      this.failed(error, method);
    };
    try {
      Promise.resolve(use(upgraded)).catch(fail);
    } catch (error) {
      fail(error);
    }
  }

  #forget(connection: Connection): void {
    this.#connections.delete(connection.id);
    const { messageTime, callTime, replyTime } = this.#deadlines;
    for (const deadlines of [messageTime, callTime, replyTime, this.#unused]) deadlines.end(connection);
  }

  /** A connection is its user's no more. */
  #left({ user, admission }: Connection): void {
    user.connections--;
    this.#users.settle(user);
    admission?.[Symbol.dispose]();
    if (this.owner.closed) return;
    if (this.#pause !== undefined) this.#resumeAccepting();
    this.changed?.();
    this.#completeIfLast();
  }

  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    atLoad.clearTimeout(this.#pause);
    for (const connection of [...this.#connections.values(), ...this.#upgraded]) connection[Symbol.dispose]();
    this.#gate[Symbol.dispose]();
    for (const deadlines of Object.values(this.#deadlines)) deadlines[Symbol.dispose]();
    this.#seconds[Symbol.dispose]();
    this.#unused[Symbol.dispose]();
    this.#listener[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
  }

  /** Handles what is ready on all sockets. */
  #turn(): void {
    this.#inTurn = true;
    const count = this.#epoll.poll();
    this.#lastTurn++;
    for (let index = 0; index < count && !this.owner.closed; index++) {
      const connection = this.#connections.get(this.#epoll.data(index));
      // Epoll says so again of those that have to wait, after all others.
      if (connection !== undefined && this.#hasTurn(connection.user)) connection.ready(this.#epoll.revents(index));
    }
    this.#endTurn();
    if (!this.owner.closed) this.#listener.look();
  }

  /** Whether another of this user's connections may have its turn. Who is alone need not wait for others. */
  #hasTurn(user: User): boolean {
    if (user.turn !== this.#lastTurn) {
      user.turn = this.#lastTurn;
      user.turns = 0;
    }
    return ++user.turns <= SHARE || this.#users.size === 1;
  }

  #endTurn(): void {
    this.#inTurn = false;
    this.#tell();
    this.#completeIfLast();
  }

  /** Does what Node's own timers ask for. */
  #outsideTurn(work: () => void): void {
    if (this.owner.closed) return;
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
    const last = this.#lastId;
    try {
      const { count, waiting, exhausted } = acceptBatch(this.listenFd, limit, this.#connect);
      if (exhausted !== undefined) this.#exhausted(exhausted);
      this.changed?.();
      // Another process may have been faster.
      if (count > 0) this.owner.next({ type: 'accepted', count, waiting });
      this.#greet(last);
    } catch (error) {
      this.owner.error(error);
    }
    this.#endTurn();
  }

  /**
   * Looks at new connections at once: who connects has mostly sent its call by now, and epoll would tell of it a turn of Node's
   * loop later. Who has not by the time that others connect is going to stay.
   * @param last the id that was given last before the first of them
   */
  #greet(last: number): void {
    this.#lastTurn++;
    if (this.#silent.some(({ closed, used }) => !closed && !used)) this.stays();
    this.#silent.length = 0;
    for (let id = nextId(last); id !== nextId(this.#lastId) && !this.owner.closed; id = nextId(id)) {
      const connection = this.#connections.get(id);
      if (connection === undefined) continue;
      if (this.#hasTurn(connection.user)) connection.ready(EPOLLIN);
      if (!connection.closed && !connection.used) this.#silent.push(connection);
    }
  }

  /** Takes over a connection; see `acceptBatch`. */
  readonly #connect = (fd: Fd): boolean | Error => {
    const guest = this.#gate.pass(fd, this.connections);
    if (guest === undefined) return false;
    const { user, peer, admission } = guest;
    this.#lastId = nextId(this.#lastId);
    try {
      this.#epoll.add(fd.number, EPOLLIN, this.#lastId);
    } catch (error) {
      admission?.[Symbol.dispose]();
      this.failed(error);
      this.#gate.refuse(fd, user, 'watches');
      return false;
    }
    const connection = new Connection(this, fd, user, peer, this.#lastId, admission);
    user.connections++;
    this.#connections.set(connection.id, connection);
    return this.#leavesRoom(fd.number) || new SystemError(EMFILE, 'accept4', String(this.listenFd));
  };

  /** Whether there is room for more than messages need when a connection has this number. */
  #leavesRoom(number: number): boolean {
    // Rarely more than one was before.
    if (number > this.#highest) {
      if (!hasRoomForConnection(number)) return false;
      this.#highest = number;
    }
    return true;
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
    this.#pause ??= atLoad.setTimeout(() => this.#resumeAccepting(), EXHAUSTED_PAUSE);
    this.owner.next({ type: 'exhausted', error: error instanceof Error ? error : new Error(String(error)) });
  }

  #resumeAccepting(): void {
    atLoad.clearTimeout(this.#pause);
    this.#pause = undefined;
    if (!this.#accepting) return;
    if (mayAcceptAgain()) this.#accept();
    else this.#pause = atLoad.setTimeout(() => this.#resumeAccepting(), EXHAUSTED_PAUSE);
  }

  #stuck(uid: number): void {
    this.#bars.add(uid);
    if (!this.owner.closed) this.owner.next({ type: 'stuck', uid });
  }

  #gave(user: User, count: number): void {
    user.fds -= count;
    this.#resumeNext(user);
    this.#users.settle(user);
  }

  /** Has those that wait for this user's turn begin, soon: this may be the end of one call within another one's work. */
  #resumeNext(user: User): void {
    if (user.waiting.size === 0 || this.#resumable.has(user)) return;
    this.#resumable.add(user);
    if (this.#resumable.size > 1) return;
    atLoad.setImmediate(() => this.#outsideTurn(() => this.#resumeWaiting()));
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

  #tell(): void {
    if (!this.#refusals.empty) {
      for (const refusal of this.#refusals.take()) this.owner.next({ type: 'refused', ...refusal });
    }
    if (this.#calls === 0 && this.#unanswered === this.#toldUnanswered) return;
    const calls = this.#calls;
    this.#calls = 0;
    this.#toldUnanswered = this.#unanswered;
    this.owner.next({ type: 'worked', calls, unanswered: this.#unanswered, connections: this.connections });
  }

  /** Not while connections are being handled: who completes us closes them. */
  #completeIfLast(): void {
    if (this.#last && !this.#inTurn && this.connections === 0) this.owner.complete();
  }
}

/** Ids of connections are numbers that epoll can give back, from 1 on, and begin anew after the last. */
function nextId(id: number): number {
  return id === 0xffff_ffff ? 1 : id + 1;
}
