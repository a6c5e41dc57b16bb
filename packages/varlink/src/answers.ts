import { ESRCH, type Fd, type PeerCredentials, peerPidfd, SystemError } from '@sdrx/linux';
import { from, isObservable, type Observable, type ObservableInput, observable, take, takeWhile } from 'rxjs';
import { shown } from './arguments.js';
import { type CallHost, type HeldReply, ReceivedCall, type UseConnection } from './call.js';
import type { ConnectionHost } from './connection.js';
import { refusal } from './limits.js';
import { type DecodedCall, encodeError, encodeReply } from './message.js';
import { closeAll, type Outbox } from './outbox.js';
import type { ServedMethod } from './service.js';
import { varlinkService } from './service-interface.js';
import { failedField } from './struct.js';
import { asVarlinkError } from './system-failure.js';
import type { User } from './user.js';
import { isVarlinkError } from './varlink-error.js';
import { writeJson } from './write-json.js';

/** The last reply of an Observable that gave none. */
const NO_REPLY: HeldReply = { text: '{}', fds: [] };
/** Whose the answers are. */
export interface AnswersOwner {
  readonly peer: PeerCredentials;
  readonly cookie: bigint;
  readonly user: User;
  /** The connection's descriptor. */
  readonly fd: number;
  /** Whether nothing can be sent any more. */
  readonly closed: boolean;
  /** The call waits for a reply from now on, or not any more. */
  awaitsReply(on: boolean): void;
  /** Something is there to send. @param last whether the call has ended */
  replied(last: boolean): void;
  /** The connection is somebody else's once the reply is sent, which is in the outbox. */
  leaveTo(use: UseConnection, method: string): void;
}

/** The answering side of a server's connection: has handlers called, one after another, and puts replies into the outbox. */
export class Answers implements CallHost {
  readonly #host: ConnectionHost;
  readonly #owner: AnswersOwner;
  readonly #outbox: Outbox;
  /** The call whose handler has not answered yet. */
  #pending: ReceivedCall | undefined;
  /** What a handler is working on that has not returned. */
  #handling: ReceivedCall | undefined;

  constructor(host: ConnectionHost, owner: AnswersOwner, outbox: Outbox) {
    this.#host = host;
    this.#owner = owner;
    this.#outbox = outbox;
  }

  /** Whether a call has no answer yet. */
  get pending(): boolean {
    return this.#pending !== undefined;
  }

  /** Whether that call's client takes no answer. */
  get oneway(): boolean {
    return this.#pending?.oneway === true;
  }

  get peer(): PeerCredentials {
    return this.#owner.peer;
  }

  peerPidfd(): Fd | undefined {
    if (this.#owner.closed) throw new SystemError(ESRCH, 'getsockopt', 'a closed connection');
    return peerPidfd(this.#owner.fd);
  }

  get cookie(): bigint {
    return this.#owner.cookie;
  }

  /** Has a call answered. @param fds came with it, and are ours from now on */
  answer({ message, twice }: DecodedCall, fds: readonly number[]): void {
    const { method, more = false, oneway = false, upgrade = false, parameters } = message;
    const call = new ReceivedCall(this, method, more, oneway, upgrade, fds);
    this.#host.begun(this.#owner.user);
    this.#handling = call;
    try {
      if (fds.length > this.#host.limits.messageFds) {
        this.#host.refused(this.#owner.user, 'messageFds');
        throw refusal('messageFds');
      }
      this.#take(call, this.#invoke(call, this.#host.service.methods.get(method), parameters ?? {}, twice));
    } catch (error) {
      this.#fail(call, error);
    } finally {
      this.#handling = undefined;
    }
  }

  /** Closes what came with the call that is being handled and may not be held. */
  giveUp(): void {
    this.#handling?.giveUp();
  }

  /** Answers the call that takes too long in its handler's place. */
  abandon(): void {
    const { oneway } = this;
    this.#host.refused(this.#owner.user, 'callTime');
    this.stop();
    if (!oneway) this.#outbox.add(encodeError(refusal('callTime')));
  }

  /** Has nobody wait for the answer to the call any more. A promise goes on without us; its call is closed when it settles. */
  stop(): void {
    const call = this.#pending;
    if (call === undefined) return;
    this.#pending = undefined;
    call.abandoned = true;
    if (call.subscription === undefined) return;
    call.subscription.unsubscribe();
    call[Symbol.dispose]();
  }

  notify(call: ReceivedCall, reply: object): void {
    const text = writeReply(reply);
    this.#continue(call, { text, fds: call.takePassed() });
  }

  callEnded(): void {
    this.#host.ended(this.#owner.user);
  }

  dropFds(fds: readonly number[]): void {
    // Those that were not held are gone already.
    this.#host.dropFds(
      this.#owner.user,
      fds.filter((fd) => fd >= 0),
    );
  }

  gaveFd(): void {
    this.#host.gaveFd(this.#owner.user);
  }

  mayHold(fd: number): boolean {
    return this.#host.mayHold(fd);
  }

  /** @returns what the handler does */
  #invoke(call: ReceivedCall, served: ServedMethod | undefined, given: object, twice: string | undefined): unknown {
    if (served === undefined) throw varlinkService.errors.MethodNotFound({ method: call.method });
    const { method, handler, before } = served;
    before?.(call);
    if (twice !== undefined) throw varlinkService.errors.InvalidParameter({ parameter: twice });
    const parameters = method.parameters.decode(given);
    if (parameters._tag === 'Left') {
      throw varlinkService.errors.InvalidParameter({ parameter: failedField(parameters.left) });
    }
    if (handler === undefined) throw varlinkService.errors.MethodNotImplemented({ method: call.method });
    if (method.more === 'required' && !call.more) throw varlinkService.errors.ExpectedMore();
    if (method.upgrade === 'required' && !call.upgrade) throw varlinkService.errors.ExpectedUpgrade();
    // A plain reply would have the client speak another protocol than we.
    if (call.upgrade && method.upgrade === false) {
      throw varlinkService.errors.InvalidParameter({ parameter: 'upgrade' });
    }
    return handler(parameters.right, call);
  }

  /** Takes what a handler returned. */
  #take(call: ReceivedCall, answer: unknown): void {
    if (isThenable(answer)) {
      this.#await(call);
      Promise.resolve(answer).then(
        (reply) => this.#finish(call, reply),
        (error) => this.#fail(call, error),
      );
    } else if (isStream(answer)) {
      this.#await(call);
      this.#subscribe(call, from(answer));
    } else {
      this.#finish(call, answer);
    }
  }

  #await(call: ReceivedCall): void {
    this.#pending = call;
    call.giveUp();
    this.#owner.awaitsReply(true);
  }

  /** Of several replies each is sent only once it is known whether it is the last. */
  #subscribe(call: ReceivedCall, replies: Observable<unknown>): void {
    const wanted = call.more
      ? takeWhile<unknown>(() => this.#pending === call && this.#outbox.broken === undefined)
      : take<unknown>(1);
    const subscription = replies.pipe(wanted).subscribe({
      next: (reply) => this.#hold(call, reply),
      error: (error) => this.#failAfterHeld(call, error),
      complete: () => this.#end(call, call.takeHeld() ?? NO_REPLY),
    });
    call.subscription = subscription;
    if (this.#pending === call) return;
    subscription.unsubscribe();
    call[Symbol.dispose]();
  }

  /** Keeps a reply as it is now, with the descriptors passed for it, and sends the one before. */
  #hold(call: ReceivedCall, reply: unknown): void {
    let text: string;
    try {
      text = writeReply(reply);
    } catch (error) {
      this.#failAfterHeld(call, error);
      call.subscription?.unsubscribe();
      return;
    }
    const before = call.takeHeld();
    call.hold(text);
    if (before !== undefined) this.#continue(call, before);
  }

  #failAfterHeld(call: ReceivedCall, error: unknown): void {
    const held = call.takeHeld();
    if (held !== undefined) this.#continue(call, held);
    this.#fail(call, error);
  }

  /** Sends a reply that is not the last, if the client takes several and still waits for one. */
  #continue(call: ReceivedCall, { text, fds }: HeldReply): void {
    if (!call.more || call.closed || call.abandoned || this.#owner.closed) {
      closeAll(fds);
      return;
    }
    this.#owner.awaitsReply(false);
    this.#outbox.add(encodeReply(text, true), fds);
    this.#owner.replied(false);
  }

  /** Answers with a last reply. */
  #finish(call: ReceivedCall, reply: unknown): void {
    if (!this.#mayAnswer(call)) return;
    let text: string;
    try {
      text = writeReply(reply);
    } catch (error) {
      this.#fail(call, error);
      return;
    }
    this.#end(call, { text, fds: call.takePassed() });
  }

  /** Answers with an error. */
  #fail(call: ReceivedCall, thrown: unknown): void {
    if (!isVarlinkError(thrown)) this.#host.failed(thrown, call.method);
    if (!this.#mayAnswer(call)) return;
    if (!call.oneway) this.#outbox.add(this.#writeError(call, thrown));
    this.#close(call);
  }

  /** An error reply; for an error whose parameters can't be sent that is another one. */
  #writeError(call: ReceivedCall, thrown: unknown): string {
    try {
      return encodeError(asVarlinkError(thrown));
    } catch (error) {
      this.#host.failed(error, call.method);
      return encodeError(asVarlinkError(error));
    }
  }

  #end(call: ReceivedCall, { text, fds }: HeldReply): void {
    const wanted = this.#mayAnswer(call);
    if (wanted && call.upgrade) {
      if (call.useConnection === undefined) {
        closeAll(fds);
        this.#fail(call, new Error(`the handler of ${call.method} did not take the connection`));
        return;
      }
      this.#owner.leaveTo(call.useConnection, call.method);
    }
    if (wanted && !call.oneway) this.#outbox.add(encodeReply(text, false), fds);
    else closeAll(fds);
    if (wanted) this.#close(call);
  }

  /** Whether the client still waits for it; a promise may settle long after. */
  #mayAnswer(call: ReceivedCall): boolean {
    if (!this.#owner.closed && !call.closed && !call.abandoned) return true;
    call[Symbol.dispose]();
    return false;
  }

  #close(call: ReceivedCall): void {
    call[Symbol.dispose]();
    if (this.#pending !== undefined) this.#owner.awaitsReply(false);
    this.#pending = undefined;
    this.#owner.replied(true);
  }
}

/** The parameters of a reply as JSON, without what will become of the object meanwhile. */
function writeReply(reply: unknown): string {
  const parameters = reply ?? {};
  if (typeof parameters === 'object' && !Array.isArray(parameters)) return writeJson(parameters);
  throw new TypeError(`the handler returned ${shown(reply)}, not an object`);
}

function isThenable(answer: unknown): answer is PromiseLike<unknown> {
  return typeof answer === 'object' && answer !== null && 'then' in answer && typeof answer.then === 'function';
}

/** Whether it is an Observable, also of another copy or release of RxJS. */
function isStream(answer: unknown): answer is ObservableInput<unknown> {
  if (isObservable(answer)) return true;
  if (typeof answer !== 'object' || answer === null) return false;
  return typeof (answer as Readonly<Record<PropertyKey, unknown>>)[observable] === 'function';
}
