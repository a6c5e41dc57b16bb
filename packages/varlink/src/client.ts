import { AsyncResource } from 'node:async_hooks';
import type { EventLoop } from '@sdrx/event';
import {
  atLoad,
  checkFunction,
  checkMethods,
  checkObject,
  close,
  duplicate,
  EPOLLIN,
  EPOLLOUT,
  Fd,
  MAX_PASSED_FDS,
} from '@sdrx/linux';
import { Observable, type Subscription } from 'rxjs';
import { requireFd, requireFdObject, requireSignal, requireTime, shown } from './arguments.js';
import { Inbox, type InboxBounds } from './inbox.js';
import type { AnyMethod, Method } from './interface.js';
import { type CallFlag, decodeReply, encodeCall, MAX_MESSAGE, type ReplyMessage } from './message.js';
import { closeAll, Outbox } from './outbox.js';
import { queuedReplies } from './queued-replies.js';
import { ReceivePool } from './receive-pool.js';
import { type Fields, failedField, type ValuesOf } from './struct.js';
import { UpgradedConnection } from './upgraded-connection.js';
import { ConnectionClosedError, ProtocolError, VarlinkError } from './varlink-error.js';

/** How often one wake-up reads of a message that does not end, before other sources have their turn. */
const READS_A_TURN = 16;

const receivers = new ReceivePool();

/** The client chose whom to ask, so a service may answer as it likes, within reason. The depth is systemd's limit. */
const BOUNDS: InboxBounds = {
  messageSize: MAX_MESSAGE,
  messageDepth: 2048,
  messageFds: MAX_PASSED_FDS,
};

/** How long a call may be without a reply unless said otherwise, in milliseconds, as in systemd. */
const CALL_TIME = 45_000;

/** The longest time of a timer of Node's, in milliseconds: 24 days. */
const MAX_TIMER = 0x7fff_ffff;

export interface ClientOptions {
  /**
   * How long a call may be without its reply, in milliseconds, 45 seconds by default; Infinity for no limit. Answers come in
   * order, so the connection is of no use after that, and closes. Replies to a call with `more` may come at any time.
   */
  readonly callTime?: number;
}

export interface CallOptions {
  /** Descriptors to pass along, at most 253; the parameters name them by index. They stay the caller's. */
  readonly fds?: readonly number[];
  /** As `ClientOptions.callTime`, for this call. For one with `more`: until each of its replies, by default without limit. */
  readonly callTime?: number;
  /**
   * Ends the wait: the call fails with the signal's reason, and what is still answered is dropped. Varlink can't take a call
   * back, so the service goes on with it.
   */
  readonly signal?: AbortSignal | undefined;
}

/** A reply, as a client gets it. */
export interface Answer<R extends Fields = Fields> {
  readonly parameters: ValuesOf<R>;
  /** The descriptors that came with it; who gets the answer owns them. */
  readonly fds: readonly Fd[];
  /** Whether another reply to the same call follows. */
  readonly continues: boolean;
}

/** The reply to a call that has the connection speak another protocol from now on. */
export interface Upgraded<R extends Fields = Fields> {
  readonly parameters: ValuesOf<R>;
  /** As those of an `Answer`. */
  readonly fds: readonly Fd[];
  /** The connection, which who gets this owns. */
  readonly connection: UpgradedConnection;
}

/** A call that was sent and waits for its reply, or its next one. */
interface Expectation {
  readonly method: AnyMethod;
  readonly more: boolean;
  /** How long it is waited for, in milliseconds, and what does. */
  readonly time: number;
  timer?: NodeJS.Timeout;
  answer(answer: Answer): void;
  /** As `answer`, for a call with `upgrade`. */
  readonly upgrade?: (answer: Upgraded) => void;
  fail(error: Error): void;
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
  readonly #callTime: number;
  readonly #expected: Expectation[] = [];
  #subscription: Subscription | undefined;
  readonly #onClosed: (() => void) | undefined;
  #events = 0;
  #held = false;
  /** The method that the connection is about to be another protocol's by. */
  #upgrading: string | undefined;
  #closed: Error | undefined;

  /**
   * @param socket a connected, non-blocking stream socket; ours from now on
   * @param onClosed called once when the connection is closed, however that comes
   * @throws TypeError or RangeError for a wrong argument; the socket stays the caller's then
   */
  constructor(loop: EventLoop, socket: Fd, options: ClientOptions = {}, onClosed?: () => void) {
    checkMethods('loop', loop, 'an EventLoop', 'io');
    requireFdObject(socket, 'socket');
    requireClientOptions(options);
    if (onClosed !== undefined) checkFunction('onClosed', onClosed);
    this.#onClosed = onClosed;
    this.#callTime = options.callTime ?? CALL_TIME;
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
   * Calls a method. Rejects with the VarlinkError that the service answers, with a ConnectionClosedError, with a ProtocolError
   * for an answer that is not as declared, and with a TypeError or RangeError for a wrong argument or parameter, by its name.
   */
  call<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options: CallOptions = {},
  ): Promise<Answer<R>> {
    return new Promise((resolve, reject) => {
      requireCall(method, parameters, options);
      const { callTime: time = this.#callTime, signal } = options;
      signal?.throwIfAborted();
      this.#send(method, parameters, undefined, options);
      const abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      this.#expect({
        method,
        more: false,
        time,
        answer: (answer) => {
          if (signal?.aborted === true) closeAll(answer.fds);
          signal?.removeEventListener('abort', abort);
          resolve(answer as Answer<R>);
        },
        fail: (error) => {
          signal?.removeEventListener('abort', abort);
          reject(error);
        },
      });
    });
  }

  /**
   * Calls a method that may give several replies, at subscription. Fails as `call` rejects; a wrong argument is thrown at once. Varlink has no way to stop
   * a call: after unsubscribing, replies still come and are dropped until the client is disposed of.
   */
  more<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options: CallOptions = {},
  ): Observable<Answer<R>> {
    requireCall(method, parameters, options);
    const { signal } = options;
    return new Observable((subscriber) => {
      signal?.throwIfAborted();
      if (signal !== undefined) {
        const abort = () => subscriber.error(signal.reason);
        signal.addEventListener('abort', abort, { once: true });
        subscriber.add(() => signal.removeEventListener('abort', abort));
      }
      // Replies come in the context of whoever connected.
      const context = new AsyncResource('SDRX_VARLINK_CALL', { requireManualDestroy: true });
      this.#send(method, parameters, 'more', options);
      this.#expect({
        method,
        more: true,
        time: options.callTime ?? Number.POSITIVE_INFINITY,
        answer: (answer) => {
          if (subscriber.closed) closeAll(answer.fds);
          context.runInAsyncScope(() => {
            subscriber.next(answer as Answer<R>);
            if (!answer.continues) subscriber.complete();
          });
        },
        fail: (error) => context.runInAsyncScope(() => subscriber.error(error)),
      });
    });
  }

  /**
   * As `more`, to be taken by `for await`, which sends the call. While a hundred replies wait to be taken nothing more is read from the
   * socket, so that a service that is faster than the loop's body waits. Whoever leaves the loop is done with the call as one who
   * unsubscribes is.
   */
  replies<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options: CallOptions = {},
  ): AsyncGenerator<Answer<R>, void, void> {
    return queuedReplies(this.more(method, parameters, options), (held) => this.#hold(held));
  }

  /** Calls a method without waiting for anything. @throws a ConnectionClosedError, TypeError or RangeError */
  oneway<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options: CallOptions = {},
  ): void {
    requireCall(method, parameters, options);
    this.#send(method, parameters, 'oneway', options);
  }

  /**
   * Calls a method after whose reply the connection speaks another protocol. Then it is no client's any more: `closed` says so, and
   * `onClosed` is called when the connection is closed as a stream, or disposed of. No other call can be sent before the answer is there.
   * Rejects as `call`, and then the client goes on, if it is an error that the service has answered.
   *
   * Call only methods that are declared with `upgrade`: for another one ours answer InvalidParameter, but systemd's services just answer,
   * and go on to speak Varlink.
   */
  upgrade<P extends Fields, R extends Fields>(
    method: Method<P, R>,
    parameters: ValuesOf<P>,
    options: CallOptions = {},
  ): Promise<Upgraded<R>> {
    return new Promise((resolve, reject) => {
      requireCall(method, parameters, options);
      const { callTime: time = this.#callTime, signal } = options;
      signal?.throwIfAborted();
      this.#send(method, parameters, 'upgrade', options);
      this.#upgrading = method.name;
      const abort = () => reject(signal?.reason);
      signal?.addEventListener('abort', abort, { once: true });
      const ended = () => signal?.removeEventListener('abort', abort);
      this.#expect({
        method,
        more: false,
        time,
        answer: () => {},
        upgrade: (answer) => {
          ended();
          if (signal?.aborted === true) {
            closeAll(answer.fds);
            answer.connection[Symbol.dispose]();
          }
          resolve(answer as Upgraded<R>);
        },
        fail: (error) => {
          ended();
          this.#upgrading = undefined;
          reject(error);
        },
      });
    });
  }

  /** Closes the connection; calls that wait for an answer fail with a ConnectionClosedError. */
  [Symbol.dispose](): void {
    this.#close(new ConnectionClosedError('by us'));
  }

  #send(method: AnyMethod, parameters: object, flag: CallFlag | undefined, { fds = [] }: CallOptions): void {
    if (this.#closed !== undefined) throw this.#closed;
    if (this.#upgrading !== undefined) {
      throw new Error(`${method.name} can't be called: the connection waits for ${this.#upgrading}, which upgrades it`);
    }
    const text = encodeCall(method.name, parameters, flag);
    this.#outbox.add(text, duplicateAll(fds));
    this.#outbox.flush();
    this.#wait();
  }

  #expect(expectation: Expectation): void {
    if (this.#closed === undefined) {
      this.#expected.push(expectation);
      this.#startTime(expectation);
    } else {
      expectation.fail(this.#closed);
    }
  }

  /** Node's timer: one of the loop's would be a source for each call. */
  #startTime(expectation: Expectation): void {
    const { method, time } = expectation;
    if (time > MAX_TIMER) return;
    const late = () => this.#close(new ConnectionClosedError(`no reply to ${method.name} within ${time} ms`));
    expectation.timer = atLoad.setTimeout(late, time).unref();
  }

  /** Whether nothing is read: answers come in order, so there is nobody else who waits for what lies behind. */
  #hold(held: boolean): void {
    if (this.#held === held || this.#closed !== undefined) return;
    this.#held = held;
    const [expectation] = this.#expected;
    if (expectation !== undefined) {
      if (held) atLoad.clearTimeout(expectation.timer);
      else this.#startTime(expectation);
    }
    this.#wait();
  }

  /** Waits for what there is to wait for: an answer, and room for what is not sent yet. */
  #wait(): void {
    const { broken, waiting } = this.#outbox;
    if (broken !== undefined) {
      this.#close(new ConnectionClosedError(broken.message));
      return;
    }
    const events = (this.#held ? 0 : EPOLLIN) | (waiting ? EPOLLOUT : 0);
    if (events === this.#events) return;
    this.#events = events;
    this.#subscription?.unsubscribe();
    if (events === 0) return;
    this.#subscription = this.#loop.io(this.#fd.number, { events }).subscribe({
      next: ({ revents }) => this.#ready(revents),
      complete: () => this.#close(new ConnectionClosedError('the event loop has ended')),
      error: (error: unknown) => this.#close(new ConnectionClosedError(String(error))),
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
    while (this.#closed === undefined) {
      const text = this.#inbox.next();
      if (text === undefined) break;
      this.#dispatch(text, this.#inbox.takeFds());
    }
    return this.#closed === undefined && !this.#held && this.#inbox.holdsBytes && count === buffer.bytes.length;
  }

  #dispatch(text: string, fds: readonly number[]): void {
    let message: ReplyMessage;
    let expectation: Expectation;
    try {
      message = decodeReply(text, this.#inbox.members);
      expectation = this.#expectationOf(message);
    } catch (error) {
      for (const fd of fds) close(fd);
      throw error;
    }
    atLoad.clearTimeout(expectation.timer);
    if (continues(message)) this.#startTime(expectation);
    else this.#expected.shift();
    const answer = answerOf(expectation, message, fds);
    if (answer === undefined) {
      // What follows such a reply is no Varlink.
      if (expectation.upgrade !== undefined && message.error === undefined) {
        this.#close(new ConnectionClosedError(`${expectation.method.name} has upgraded it`));
      }
      return;
    }
    if (expectation.upgrade === undefined) expectation.answer(answer);
    else expectation.upgrade({ ...answer, connection: this.#leave(expectation.method.name) });
  }

  /** Gives up the connection, which is not closed by that. */
  #leave(method: string): UpgradedConnection {
    this.#closed = new ConnectionClosedError(`${method} has upgraded it`);
    this.#subscription?.unsubscribe();
    const head = this.#inbox.takeRest();
    this.#inbox[Symbol.dispose]();
    this.#outbox[Symbol.dispose]();
    const left = (how: 'closed' | 'taken') => {
      if (how === 'closed') this.#onClosed?.();
    };
    return new UpgradedConnection(new Fd(this.#fd.take()), head, undefined, left);
  }

  #expectationOf(message: ReplyMessage): Expectation {
    const [expectation] = this.#expected;
    if (expectation === undefined) throw new ProtocolError('a reply came without a call');
    if (expectation.more || !continues(message)) return expectation;
    throw new ProtocolError(`${expectation.method.name} was called without 'more', and answered with several replies`);
  }

  #close(reason: Error): void {
    if (this.#closed !== undefined) return;
    this.#closed = reason;
    this.#subscription?.unsubscribe();
    this.#inbox[Symbol.dispose]();
    this.#outbox[Symbol.dispose]();
    this.#fd.close();
    this.#onClosed?.();
    for (const expectation of this.#expected.splice(0)) {
      atLoad.clearTimeout(expectation.timer);
      expectation.fail(reason);
    }
  }
}

/** @throws TypeError or RangeError for wrong options of a client */
export function requireClientOptions(options: ClientOptions): void {
  checkObject('options', options);
  if (options.callTime !== undefined) requireTime(options.callTime, 'callTime');
}

/**
 * @throws for wrong arguments of a call, parameters that are not as declared included: the service would refuse these, too
 */
function requireCall(method: AnyMethod, parameters: object, options: CallOptions): void {
  const { name, parameters: codec } = (method ?? {}) as Partial<AnyMethod>;
  if (typeof name !== 'string' || typeof codec?.decode !== 'function') {
    throw new TypeError(`\`method\` must be a method of an interface, not ${shown(method)}`);
  }
  checkObject('parameters', parameters);
  const result = codec.decode(parameters);
  if (result._tag === 'Left') {
    const field = failedField(result.left);
    const value: unknown = Object.hasOwn(parameters, field) ? Reflect.get(parameters, field) : undefined;
    throw new TypeError(`${name} takes no \`${field}\` that is ${shown(value)}`);
  }
  requireClientOptions(options);
  const { fds = [], signal } = options;
  if (signal !== undefined) requireSignal(signal, 'signal');
  if (!Array.isArray(fds)) throw new TypeError(`\`fds\` must be an array, not ${shown(fds)}`);
  if (fds.length > MAX_PASSED_FDS) throw new RangeError(`\`fds\` must be ${MAX_PASSED_FDS} at most, not ${fds.length}`);
  for (const [index, fd] of fds.entries()) requireFd(fd, `fds[${index}]`);
}

/** Copies of descriptors, all of them or none. @throws EBADF, EMFILE */
function duplicateAll(fds: readonly number[]): Fd[] {
  const copies: Fd[] = [];
  try {
    for (const fd of fds) copies.push(duplicate(fd));
  } catch (error) {
    closeAll(copies);
    throw error;
  }
  return copies;
}

function continues(message: ReplyMessage): boolean {
  return message.continues === true && message.error === undefined;
}

/** A reply as its method declares it; an error, or a reply that is not so, is told to who waits for it instead. */
function answerOf(expectation: Expectation, message: ReplyMessage, fds: readonly number[]): Answer | undefined {
  const { method } = expectation;
  if (message.error !== undefined) {
    for (const fd of fds) close(fd);
    expectation.fail(new VarlinkError(message.error, message.parameters ?? {}));
    return undefined;
  }
  const parameters = method.reply.decode(message.parameters ?? {});
  if (parameters._tag === 'Left') {
    for (const fd of fds) close(fd);
    expectation.fail(new ProtocolError(`${method.name} answered with a wrong '${failedField(parameters.left)}'`));
    return undefined;
  }
  return { parameters: parameters.right, fds: fds.map((fd) => new Fd(fd)), continues: continues(message) };
}
