import type { EventLoop } from '@sdrx/event';
import { ETIMEDOUT, isSystemError, SystemError } from '@sdrx/linux';
import { defer, finalize, map, merge, type Observable, take, type Unsubscribable } from 'rxjs';
import { type BusCallOptions, BusConnection } from './bus-connection.js';
import type { Answer, MethodCall } from './message.js';
import { NoBusError } from './no-bus-error.js';

/** For how long an answer is waited for, in milliseconds, as everybody does on D-Bus. */
const ANSWER_TIME = 25_000;

/** For how long a connection stays that nobody uses, in milliseconds, and how late that may be. */
const IDLE_TIME = 5000;
const IDLE_ACCURACY = 1000;

export interface SystemBusOptions {
  /** For how long an answer is waited for, in milliseconds. */
  readonly answerTime?: number;
  /** For how long a connection stays that nobody uses, in milliseconds. */
  readonly idleTime?: number;
}

/** The message bus of the system. There is a connection only while somebody is called, and a little longer. */
export class SystemBus implements Disposable {
  readonly #loop: EventLoop;
  readonly #addresses: readonly string[];
  readonly #answerTime: number;
  readonly #idleTime: number;
  #connection: BusConnection | undefined;
  #calls = 0;
  #idle: Unsubscribable | undefined;

  /** @param addresses where it may be, the best first: paths, or `@` and an abstract name */
  constructor(loop: EventLoop, addresses: readonly string[], options: SystemBusOptions = {}) {
    this.#loop = loop;
    this.#addresses = addresses;
    this.#answerTime = options.answerTime ?? ANSWER_TIME;
    this.#idleTime = options.idleTime ?? IDLE_TIME;
  }

  /**
   * As `call` of BusConnection. Fails with ETIMEDOUT, too, with NoBusError where there is no bus, and as `connect`.
   * @param prepare makes the options, once there is a bus
   */
  call(call: MethodCall, prepare: () => BusCallOptions = () => ({})): Observable<Answer> {
    return defer(() => {
      const connection = this.#connected();
      this.#calls++;
      this.#idle?.unsubscribe();
      const answer = defer(() => connection.call(call, prepare()));
      const late = this.#loop.time({ after: this.#answerTime, description: 'answer over D-Bus' }).pipe(
        map((): never => {
          throw new SystemError(ETIMEDOUT, call.member, call.destination);
        }),
      );
      return merge(answer, late).pipe(
        take(1),
        finalize(() => {
          this.#calls--;
          this.#waitForIdleness();
        }),
      );
    });
  }

  [Symbol.dispose](): void {
    this.#idle?.unsubscribe();
    this.#connection?.[Symbol.dispose]();
  }

  #connected(): BusConnection {
    if (this.#connection?.closed === false) return this.#connection;
    let failure: unknown = new NoBusError(this.#addresses);
    for (const address of this.#addresses) {
      try {
        this.#connection = new BusConnection(this.#loop, address);
        return this.#connection;
      } catch (error) {
        // One that is there and can't be reached says more than one that is not.
        if (!isSystemError(error, 'ENOENT')) failure = error;
      }
    }
    throw failure;
  }

  #waitForIdleness(): void {
    if (this.#calls > 0) return;
    const time = { after: this.#idleTime, accuracy: IDLE_ACCURACY, description: 'idle message bus' };
    this.#idle = this.#loop.time(time).subscribe(() => this.#connection?.[Symbol.dispose]());
  }
}
