import {
  EPOLLERR,
  EPOLLHUP,
  EPOLLIN,
  EPOLLOUT,
  Fd,
  isSystemError,
  type PeerCredentials,
  type ReceiveBuffer,
  shutdownRead,
  socketCookie,
  untakenBytes,
} from '@sdrx/linux';
import { Answers, type AnswersOwner } from './answers.js';
import type { UseConnection } from './call.js';
import { Inbox, type InboxOwner } from './inbox.js';
import { LimitError, type RefusalReason, refusal, type ServeLimits } from './limits.js';
import { type DecodedCall, decodeCall, encodeError } from './message.js';
import { isDisconnect, Outbox } from './outbox.js';
import type { ReceivePool } from './receive-pool.js';
import type { Service } from './service.js';
import type { User, Waiter } from './user.js';
import { ProtocolError } from './varlink-error.js';

/** How often one wake-up reads of a message that does not end, before others have their turn. */
const READS_A_TURN = 16;

/** How much is read after a drain began, in bytes: more than a socket holds, so only a client that goes on meets it. */
const DRAIN_LIMIT = 1024 * 1024;

/** What there is a time limit for. */
export type Awaited = 'messageTime' | 'callTime' | 'replyTime';

/** Whom a connection is left to, by which method. */
export interface Leave {
  readonly use: UseConnection;
  readonly method: string;
}

/** What a connection needs of its server. */
export interface ConnectionHost {
  readonly service: Service;
  readonly limits: ServeLimits;
  readonly receivers: ReceivePool;
  /** Which connection's messages are being handled; it knows which ones were when that began. */
  working: Connection | undefined;
  /** Changes what the connection waits for: EPOLLIN, EPOLLOUT, 0 for a hangup only, undefined for nothing at all. */
  wait(connection: Connection, events: number | undefined, before: number | undefined): void;
  /** The connection is one that stays, so the next ones had better be another process's. */
  stays(): void;
  /** A call has begun. */
  begun(user: User): void;
  /** A call has ended. */
  ended(user: User): void;
  /** The connection has a call to be answered, a message that has begun, or replies to be taken; or has none any more. */
  awaits(what: Awaited, connection: Connection, on: boolean): void;
  /** Descriptors came from the client. @returns why they may not be kept, if so */
  tookFds(user: User, fds: readonly number[]): RefusalReason | undefined;
  /** Closes descriptors that came from the client. */
  dropFds(user: User, fds: readonly number[]): void;
  /** A handler took one of them for itself. */
  gaveFd(user: User): void;
  /** Whether nothing more may be read from this user for now. */
  full(user: User): boolean;
  /** Whether a descriptor may stay open while something is waited for. */
  mayHold(fd: number): boolean;
  /** Closes the connection's own descriptor. @param empty whether all that arrived was read */
  retire(user: User, fd: Fd, empty: boolean): void;
  /** The client met a limit. */
  refused(user: User, reason: RefusalReason): void;
  /** Something went wrong that the client is not to blame for. */
  failed(error: unknown, method?: string): void;
  /** The connection is closed. */
  closed(connection: Connection): void;
  /** The connection speaks another protocol. @param fd is the host's from now on @param head was read of that already */
  upgraded(connection: Connection, fd: Fd, head: Buffer, leave: Leave): void;
}

/**
 * The server's side of one connection. Calls are answered one after another, in order: while one is not answered, or its
 * reply not sent, nothing more is read, so that a client can't make the server hold more than it has read at once.
 */
export class Connection implements AnswersOwner, InboxOwner, Waiter, Disposable {
  readonly #host: ConnectionHost;
  readonly #fd: Fd;
  readonly #user: User;
  readonly #inbox: Inbox;
  readonly #outbox: Outbox;
  readonly #answers: Answers;
  /** Whether the user has to have an answer elsewhere before the next call is looked at. */
  #queued = false;
  /** Whether the time of a message that has begun counts. */
  #unfinished = false;
  /**
   * Whether the time of replies that are not taken counts, and how much the socket had taken of us when it began, and not
   * given to the client.
   */
  #untaken = false;
  #taken = 0;
  #left = 0;
  #events: number | undefined = EPOLLIN;
  #working = false;
  /** Whose work this one's began in. */
  #outer: Connection | undefined;
  /** Nothing more is read. */
  #ended = false;
  /** The client sends no more, and all is read. */
  #empty = false;
  #drainLeft: number | undefined;
  /** Whether a call has come, and another one after it. */
  #used = false;
  #stays = false;
  /** Whose it is once all is sent. */
  #leave: Leave | undefined;
  #closed = false;

  /**
   * @param fd is ours from now on
   * @param user who connected
   * @param id what the server's epoll knows it by
   * @param admission is the server's
   */
  constructor(
    host: ConnectionHost,
    fd: Fd,
    user: User,
    readonly peer: PeerCredentials,
    readonly id: number,
    readonly admission: Disposable | undefined,
  ) {
    this.#host = host;
    this.#fd = fd;
    this.#user = user;
    this.#inbox = new Inbox(host.limits, this);
    this.#outbox = new Outbox(fd.number);
    this.#answers = new Answers(host, this, this.#outbox);
  }

  get fd(): number {
    return this.#fd.number;
  }

  /** Known as long as it is open. */
  get cookie(): bigint {
    return socketCookie(this.#fd.number);
  }

  get closed(): boolean {
    return this.#closed;
  }

  /** Whether a call has come. */
  get used(): boolean {
    return this.#used;
  }

  get user(): User {
    return this.#user;
  }

  mayHold(fd: number): boolean {
    return this.#host.mayHold(fd);
  }

  /** Handles what epoll found. */
  ready(revents: number): void {
    if (this.#closed) return;
    try {
      if ((revents & EPOLLOUT) !== 0) this.#outbox.flush();
      if ((revents & EPOLLIN) !== 0 && (this.#answers.pending || this.#queued)) this.#wait(0);
      if ((revents & (EPOLLHUP | EPOLLERR)) !== 0 && this.#busy) this.#hangUp();
      else this.#work(true);
    } catch (error) {
      this.#breakDown(error);
    }
  }

  /** Closes what may not be held, here and where this one's work began; a process is about to be started. */
  giveUp(): void {
    this.#answers.giveUp();
    this.#inbox.giveUp();
    this.#outer?.giveUp();
  }

  resume(): void {
    this.#queued = false;
    this.#work(true);
  }

  /** What it waited for did not come in time. */
  expired(what: Awaited): void {
    if (this.#closed) return;
    if (what === 'callTime') {
      this.#answers.abandon();
      this.#work(true);
    } else if (what === 'messageTime') {
      this.#refuse(what);
    } else if (!this.#takesSome()) {
      this.#host.refused(this.#user, what);
      this[Symbol.dispose]();
    }
  }

  /** Whether the client has taken something since its time began, which then begins anew. */
  #takesSome(): boolean {
    const [taken, left] = [this.#taken, this.#left];
    this.#noteTaken();
    if (this.#taken === taken && this.#left >= left) return false;
    this.#host.awaits('replyTime', this, true);
    return true;
  }

  #noteTaken(): void {
    this.#taken = this.#outbox.taken;
    this.#left = untakenBytes(this.#fd.number);
  }

  /**
   * Answers what has arrived completely, then closes. Until the first call has come it waits for that: whoever has just connected
   * is about to send it.
   */
  drain(): void {
    if (this.#closed || this.#drainLeft !== undefined) return;
    this.#drainLeft = DRAIN_LIMIT;
    this.#work(true);
  }

  /** Waits for a first call no longer, in a drain. */
  hurry(): void {
    if (this.#closed) return;
    this.#used = true;
    this.#work(true);
  }

  awaitsReply(on: boolean): void {
    this.#host.awaits('callTime', this, on);
  }

  replied(last: boolean): void {
    // After a hangup there is no event to come that would make us read what is left.
    if (!this.#working) this.#work(last && this.#events === undefined);
  }

  leaveTo(use: UseConnection, method: string): void {
    this.#leave = { use, method };
  }

  dropFds(fds: readonly number[]): void {
    this.#answers.dropFds(fds);
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#inbox[Symbol.dispose]();
    this.#outbox[Symbol.dispose]();
    this.#user.waiting.delete(this);
    this.#host.retire(this.#user, this.#fd, this.#empty);
    this.#answers.stop();
    this.#host.closed(this);
  }

  get #busy(): boolean {
    return this.#answers.pending || this.#queued || this.#outbox.waiting || this.#leave !== undefined;
  }

  /** Says why nothing more is taken from this client, and closes. */
  #refuse(reason: RefusalReason): void {
    this.#host.refused(this.#user, reason);
    this.#outbox.add(encodeError(refusal(reason)));
    this.#outbox.flush();
    this[Symbol.dispose]();
  }

  #breakDown(error: unknown): void {
    // What was answered before the garbage is sent all the same.
    if (!this.#closed) this.#outbox.flush();
    if (error instanceof LimitError && !this.#closed) this.#refuse(error.reason);
    else if (!(error instanceof ProtocolError) && !isDisconnect(error)) this.#host.failed(error);
    this[Symbol.dispose]();
  }

  /** Handles messages until there is none, or one has to be waited for. @param readable whether the socket may be asked */
  #work(readable: boolean): void {
    if (this.#working || this.#closed) return;
    this.#working = true;
    this.#outer = this.#host.working;
    this.#host.working = this;
    try {
      this.#handleMessages();
      if (readable || this.#drainLeft !== undefined) this.#read();
      this.#inbox.settle();
      if (!this.#closed) this.#outbox.flush();
      if (!this.#closed) this.#rest();
    } catch (error) {
      this.#breakDown(error);
    } finally {
      this.#working = false;
      this.#host.working = this.#outer;
      this.#outer = undefined;
    }
  }

  #handleMessages(): void {
    while (!this.#closed && !this.#busy && this.#inbox.holdsBytes) {
      if (this.#queue()) return;
      const text = this.#inbox.next();
      if (text === undefined) return;
      this.#handle(text);
    }
  }

  /** Lets others of the user's go first if it has all that it may have. @returns whether so */
  #queue(): boolean {
    if (!this.#host.full(this.#user)) return false;
    this.#queued = true;
    this.#user.waiting.add(this);
    return true;
  }

  #read(): void {
    const buffer = this.#host.receivers.borrow();
    try {
      this.#readInto(buffer);
    } finally {
      this.#host.receivers.giveBack(buffer);
    }
  }

  #readInto(buffer: ReceiveBuffer): void {
    for (let reads = 0; !this.#closed && !this.#busy && !this.#ended && !this.#queue(); reads++) {
      const fds: number[] = [];
      const count = this.#receive(buffer, fds);
      if (count === undefined) {
        if (this.#drainLeft === undefined || !this.#used) break;
        // What had arrived is answered, and what has come since is read still. Who sends later gets EPIPE: nobody has taken it.
        shutdownRead(this.#fd.number);
        continue;
      }
      if (count === 0) {
        this.#ended = true;
        this.#empty = true;
        break;
      }
      this.#inbox.add(buffer.bytes, count, fds);
      this.#handleMessages();
      this.#inbox.settle();
      if (this.#drainLeft !== undefined) {
        this.#drainLeft -= count;
        if (this.#drainLeft < 0) this.#ended = true;
      } else if (count < buffer.bytes.length || !this.#inbox.holdsBytes || reads >= READS_A_TURN) {
        // If there is more after all, epoll says so again.
        break;
      }
    }
  }

  /** As `ReceiveBuffer.receive`, for what may come from anybody. @throws LimitError for descriptors that may not */
  #receive(buffer: ReceiveBuffer, fds: number[]): number | undefined {
    let count: number | undefined;
    try {
      count = buffer.receive(this.#fd.number, fds, fds);
    } catch (error) {
      if (fds.length > 0) {
        this.#host.tookFds(this.#user, fds);
        this.dropFds(fds);
      }
      if (isSystemError(error, 'EMFILE')) throw new LimitError('descriptors');
      throw error;
    }
    if (fds.length === 0) return count;
    const reason = this.#host.tookFds(this.#user, fds);
    if (reason === undefined) return count;
    this.dropFds(fds);
    throw new LimitError(reason);
  }

  /** Decides what to wait for now that nothing can be done. */
  #rest(): void {
    this.#limitTimes();
    if (this.#outbox.broken !== undefined) {
      this[Symbol.dispose]();
    } else if (this.#outbox.waiting) {
      this.#wait(EPOLLOUT);
    } else if (this.#leave !== undefined) {
      this.#handOver(this.#leave);
    } else if (this.#answers.pending || this.#queued) {
      // Most clients send nothing before they have their answer: epoll is left as it is until one does.
      if (this.#events === EPOLLOUT) this.#wait(0);
    } else if (this.#ended) {
      this[Symbol.dispose]();
    } else {
      this.#wait(EPOLLIN);
    }
  }

  /** Gives up the connection, which is not closed by that. */
  #handOver(leave: Leave): void {
    this.#wait(undefined);
    this.#closed = true;
    const head = this.#inbox.takeRest();
    this.#inbox[Symbol.dispose]();
    this.#outbox[Symbol.dispose]();
    this.#user.waiting.delete(this);
    this.#host.upgraded(this, new Fd(this.#fd.take()), head, leave);
  }

  /** A client's time to send or to take something runs only while it is the one that is waited for. */
  #limitTimes(): void {
    const { waiting } = this.#outbox;
    if (waiting !== this.#untaken) {
      this.#untaken = waiting;
      if (waiting) this.#noteTaken();
      this.#host.awaits('replyTime', this, waiting);
    }
    const unfinished = !this.#busy && this.#inbox.unfinished;
    if (unfinished === this.#unfinished) return;
    this.#unfinished = unfinished;
    this.#host.awaits('messageTime', this, unfinished);
  }

  #wait(events: number | undefined): void {
    if (events === this.#events) return;
    this.#host.wait(this, events, this.#events);
    this.#events = events;
  }

  /** The client is gone altogether while it has an answer to come. */
  #hangUp(): void {
    // It may have sent calls that need no answer before it went.
    if (this.#answers.oneway) this.#wait(undefined);
    else this[Symbol.dispose]();
  }

  #handle(text: string): void {
    if (this.#used && !this.#stays) {
      this.#stays = true;
      this.#host.stays();
    }
    this.#used = true;
    const fds = this.#inbox.takeFds();
    let call: DecodedCall;
    try {
      call = decodeCall(text, this.#inbox.members);
    } catch (error) {
      this.#answers.dropFds(fds);
      throw error;
    }
    this.#answers.answer(call, fds);
  }
}
