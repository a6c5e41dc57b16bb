import type { EventLoop } from '@sdrx/event';
import {
  close,
  connect as connectSocket,
  duplicate,
  EPOLLIN,
  EPOLLOUT,
  Fd,
  MAX_PASSED_FDS,
  unixSocket,
} from '@sdrx/linux';
import { Observable, type Subscription } from 'rxjs';
import { Inbox, type InboxBounds } from './inbox.js';
import type { AnyMethod, Method } from './interface.js';
import { decodeReply, encodeCall, MAX_MESSAGE, type ReplyMessage } from './message.js';
import { Outbox } from './outbox.js';
import { ReceivePool } from './receive-pool.js';
import { type Fields, failedField, type ValuesOf } from './struct.js';
import { ConnectionClosedError, ProtocolError, VarlinkError } from './varlink-error.js';

/** How often one wake-up reads of a message that does not end, before other sources have their turn. */
const READS_A_TURN = 16;

const receivers = new ReceivePool();

/** The client chose whom to ask, so a service may answer as it likes, within reason. */
const BOUNDS: InboxBounds = {
  messageSize: MAX_MESSAGE,
  messageDepth: Number.POSITIVE_INFINITY,
  messageFds: MAX_PASSED_FDS,
};

export interface CallOptions {
  /** Descriptors to pass along, at most 253; the parameters name them by index. They stay the caller's. */
  readonly fds?: readonly number[];
}

/** A reply, as a client gets it. */
export interface Answer<R extends Fields = Fields> {
  readonly parameters: ValuesOf<R>;
  /** The descriptors that came with it; who gets the answer owns them. */
  readonly fds: readonly Fd[];
  /** Whether another reply to the same call follows. */
  readonly continues: boolean;
}

/** A call that was sent and waits for its reply, or its next one. */
interface Expectation {
  readonly method: AnyMethod;
  answer(answer: Answer): void;
  fail(error: Error): void;
}

/**
 * Connects to a service's socket: a path, or an abstract name that begins with `@`. It speaks while the loop runs.
 * Throws ENOENT, ECONNREFUSED, EACCES, and EAGAIN when too many others wait to be accepted.
 */
export function connect(loop: EventLoop, path: string): VarlinkClient {
  const socket = unixSocket();
  try {
    connectSocket(socket.number, path);
  } catch (error) {
    socket.close();
    throw error;
  }
  return new VarlinkClient(loop, socket);
}

/**
 * The client's side of a connection. Calls may be sent before earlier ones are answered; answers come in order. When
 * the connection ends, all that wait fail with a ConnectionClosedError.
 */
export class VarlinkClient implements Disposable {
  readonly #loop: EventLoop;
  readonly #fd: Fd;
  readonly #inbox = new Inbox(BOUNDS, { dropFds: (fds) => fds.forEach(close), mayHold: () => true });
  readonly #outbox: Outbox;
  readonly #expected: Expectation[] = [];
  #subscription: Subscription | undefined;
  #events = 0;
  #closed: Error | undefined;

  /** @param socket a connected, non-blocking stream socket; ours from now on */
  constructor(loop: EventLoop, socket: Fd) {
    this.#loop = loop;
    this.#fd = socket;
    this.#outbox = new Outbox(socket.number);
    this.#wait();
  }

  /** Why the connection is closed; undefined while it is open. */
  get closed(): Error | undefined {
    return this.#closed;
  }

  /**
   * Calls a method. Rejects with the VarlinkError that the service answers, with a ConnectionClosedError, or with a
   * ProtocolError for an answer that is not as declared.
   */
  call<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options?: CallOptions,
  ): Promise<Answer<R>> {
    return new Promise((resolve, reject) => {
      this.#send(method, parameters, undefined, options);
      this.#expect({ method, answer: (answer) => resolve(answer as Answer<R>), fail: reject });
    });
  }

  /**
   * Calls a method that may give several replies, at subscription. Fails as `call` rejects. Varlink has no way to stop
   * a call: after unsubscribing, replies still come and are dropped until the client is disposed of.
   */
  more<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options?: CallOptions,
  ): Observable<Answer<R>> {
    return new Observable((subscriber) => {
      this.#send(method, parameters, 'more', options);
      this.#expect({
        method,
        answer: (answer) => {
          if (subscriber.closed) for (const fd of answer.fds) fd.close();
          subscriber.next(answer as Answer<R>);
          if (!answer.continues) subscriber.complete();
        },
        fail: (error) => subscriber.error(error),
      });
    });
  }

  /** Calls a method without waiting for anything. Throws a ConnectionClosedError. */
  oneway<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options?: CallOptions,
  ): void {
    this.#send(method, parameters, 'oneway', options);
  }

  /** Closes the connection; calls that wait for an answer fail with a ConnectionClosedError. */
  [Symbol.dispose](): void {
    this.#close(new ConnectionClosedError('by us'));
  }

  #send(method: AnyMethod, parameters: object, flag?: 'more' | 'oneway', { fds = [] }: CallOptions = {}): void {
    if (this.#closed !== undefined) throw this.#closed;
    this.#outbox.add(
      encodeCall(method.name, parameters, flag),
      fds.map((fd) => duplicate(fd)),
    );
    this.#outbox.flush();
    this.#wait();
  }

  #expect(expectation: Expectation): void {
    if (this.#closed === undefined) this.#expected.push(expectation);
    else expectation.fail(this.#closed);
  }

  /** Waits for what there is to wait for: an answer, and room for what is not sent yet. */
  #wait(): void {
    const { broken, waiting } = this.#outbox;
    if (broken !== undefined) {
      this.#close(new ConnectionClosedError(broken.message));
      return;
    }
    const events = waiting ? EPOLLIN | EPOLLOUT : EPOLLIN;
    if (events === this.#events) return;
    this.#events = events;
    this.#subscription?.unsubscribe();
    this.#subscription = this.#loop.io(this.#fd.number, { events }).subscribe({
      next: ({ revents }) => this.#ready(revents),
      complete: () => this.#close(new ConnectionClosedError('the event loop has ended')),
    });
  }

  #ready(revents: number): void {
    const buffer = receivers.borrow();
    try {
      if ((revents & EPOLLOUT) !== 0) this.#outbox.flush();
      if ((revents & ~EPOLLOUT) !== 0) for (let reads = 0; this.#read(buffer) && reads < READS_A_TURN; reads++);
      if (this.#closed === undefined) this.#wait();
    } catch (error) {
      this.#close(error instanceof ProtocolError ? error : new ConnectionClosedError(String(error)));
    } finally {
      receivers.giveBack(buffer);
    }
  }

  /** @returns whether a message is incomplete, so that there is likely more to read */
  #read(buffer: ReturnType<ReceivePool['borrow']>): boolean {
    if (this.#closed !== undefined) return false;
    const fds: number[] = [];
    const count = buffer.receive(this.#fd.number, fds);
    if (count === undefined) return false;
    if (count === 0) {
      this.#close(new ConnectionClosedError('by the service'));
      return false;
    }
    this.#inbox.add(buffer.bytes, count, fds);
    for (;;) {
      const text = this.#inbox.next();
      if (text === undefined) break;
      this.#dispatch(text, this.#inbox.takeFds());
    }
    return this.#closed === undefined && this.#inbox.holdsBytes && count === buffer.bytes.length;
  }

  #dispatch(text: string, fds: readonly number[]): void {
    const message = decodeReply(text);
    const [expectation] = this.#expected;
    if (message === undefined || expectation === undefined) {
      for (const fd of fds) close(fd);
      throw new ProtocolError(message === undefined ? 'a message is no varlink reply' : 'a reply came without a call');
    }
    if (message.continues !== true || message.error !== undefined) this.#expected.shift();
    deliver(expectation, message, fds);
  }

  #close(reason: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#subscription?.unsubscribe();
    this.#inbox[Symbol.dispose]();
    this.#outbox[Symbol.dispose]();
    this.#fd.close();
    for (const expectation of this.#expected.splice(0)) expectation.fail(reason);
  }
}

/** Gives a reply to who waits for it, as its method declares it. */
function deliver(expectation: Expectation, message: ReplyMessage, fds: readonly number[]): void {
  const { method } = expectation;
  if (message.error !== undefined) {
    for (const fd of fds) close(fd);
    expectation.fail(new VarlinkError(message.error, message.parameters ?? {}));
    return;
  }
  const parameters = method.reply.decode(message.parameters ?? {});
  if (parameters._tag === 'Left') {
    for (const fd of fds) close(fd);
    expectation.fail(new ProtocolError(`${method.name} answered with a wrong '${failedField(parameters.left)}'`));
    return;
  }
  const continues = message.continues === true;
  expectation.answer({ parameters: parameters.right, fds: fds.map((fd) => new Fd(fd)), continues });
}
