import { checkFunction, Fd, MAX_PASSED_FDS, type PeerCredentials } from '@sdrx/linux';
import type { Subscription } from 'rxjs';
import { requireFdObject, shown } from './arguments.js';
import { closeAll } from './outbox.js';
import { varlinkService } from './service-interface.js';
import { systemFailure } from './system-failure.js';
import type { UpgradedConnection } from './upgraded-connection.js';

/** No such device or address: there is no such descriptor. errno(3) */
const ENXIO = 6;

/** What is done with a connection once it speaks another protocol. What it throws, or rejects with, closes the connection. */
export type UseConnection = (connection: UpgradedConnection) => void | Promise<void>;

/** What a handler is told of its call, and what it can do beside answering. */
export interface Call<R = object> {
  /** With its interface: `io.systemd.UserDatabase.GetUserRecord`. */
  readonly method: string;
  /** Whether the client takes several replies. */
  readonly more: boolean;
  /** Whether the client takes no reply at all. */
  readonly oneway: boolean;
  /** Whether the client wants the connection to speak another protocol after the reply: see `takeConnection`. */
  readonly upgrade: boolean;
  /** Who connected. unix(7) SO_PEERCRED */
  readonly peer: PeerCredentials;
  /** The number of its connection, which no other one gets: 64 bits. To be asked for before the handler waits. SO_COOKIE */
  readonly cookie: bigint;
  /** How many descriptors came with the call. */
  readonly fdCount: number;

  /**
   * A pidfd of the process that connected, which is the caller's: of that process for certain, also if its id has been given to
   * another one since. unix(7) SO_PEERPIDFD
   * @returns undefined on kernels before 6.5, which have none to give
   * @throws ESRCH when the process is gone, or the connection is, EMFILE
   */
  peerPidfd(): Fd | undefined;

  /**
   * A descriptor that came with the call. It stays the call's, which closes it once it is answered: when the handler returned,
   * its promise settled or its Observable ended, also after the client went away.
   * @throws a VarlinkError `io.systemd.System` with ENXIO, as systemd, when there is none of that index or it was taken,
   * RangeError for what is no index
   */
  fd(index: number): number;

  /** The same, but the caller owns it from now on. */
  takeFd(index: number): Fd;

  /**
   * Sends a descriptor along with the next reply that the handler gives, and closes it then.
   * @returns its index, for the reply to name it
   * @throws TypeError for what is no Fd, RangeError for the 254th descriptor of one reply, which is closed: no message carries
   * more
   */
  passFd(fd: Fd): number;

  /**
   * Sends a reply with `continues` at once, for what never ends or comes slowly: of an Observable's values the last one waits
   * until it is known whether another follows. Does nothing unless the client asked for `more`.
   * @throws TypeError or RangeError that names the field which can't be sent
   */
  notify(reply: R): void;

  /**
   * Takes the connection, once the reply is sent that the handler gives: from then on it speaks another protocol. An error instead of
   * a reply leaves it as it is. Until it is closed or its descriptor taken it counts as a connection of its user.
   * @param use is given the connection
   * @throws a VarlinkError `org.varlink.service.ExpectedUpgrade` when the client has not asked for it, TypeError for what is no function
   */
  takeConnection(use: UseConnection): void;
}

/** What a call needs of its connection. */
export interface CallHost {
  readonly peer: PeerCredentials;
  peerPidfd(): Fd | undefined;
  readonly cookie: bigint;
  notify(call: ReceivedCall, reply: object): void;
  /** The call is over. */
  callEnded(): void;
  /** Closes descriptors that came with a call. */
  dropFds(fds: readonly number[]): void;
  /** Whether one of them may stay open while something is waited for. */
  mayHold(fd: number): boolean;
  /** A handler took one of them for itself. */
  gaveFd(): void;
}

/** A reply that is not sent yet, with the descriptors that go with it. */
export interface HeldReply {
  /** Its parameters as JSON. */
  readonly text: string;
  readonly fds: readonly Fd[];
}

const NO_FDS: readonly Fd[] = [];

/** The owner of a call's descriptors until it is answered. */
export class ReceivedCall implements Call, Disposable {
  readonly #host: CallHost;
  readonly #fds: number[];
  #passed: Fd[] | undefined;
  #held: HeldReply | undefined;
  #closed = false;
  /** What a handler's Observable runs as. */
  subscription: Subscription | undefined;
  /** What is done with the connection after the reply. */
  useConnection: UseConnection | undefined;
  /** Whether nobody waits for its answer any more, though its handler may still be at it. */
  abandoned = false;

  constructor(
    host: CallHost,
    readonly method: string,
    readonly more: boolean,
    readonly oneway: boolean,
    readonly upgrade: boolean,
    fds: readonly number[],
  ) {
    this.#host = host;
    this.#fds = fds as number[];
  }

  /** Whether it is answered, or will not be any more. */
  get closed(): boolean {
    return this.#closed;
  }

  get peer(): PeerCredentials {
    return this.#host.peer;
  }

  peerPidfd(): Fd | undefined {
    return this.#host.peerPidfd();
  }

  get cookie(): bigint {
    return this.#host.cookie;
  }

  get fdCount(): number {
    return this.#fds.length;
  }

  fd(index: number): number {
    if (!Number.isInteger(index)) throw new RangeError(`\`index\` must be a whole number, not ${shown(index)}`);
    const fd = this.#fds[index];
    if (fd === undefined || fd < 0) throw systemFailure(ENXIO, 'ENXIO');
    return fd;
  }

  /** Closes those that may not be held while something is waited for. */
  giveUp(): void {
    const unwanted = this.#fds.filter((fd) => fd >= 0 && !this.#host.mayHold(fd));
    if (unwanted.length === 0) return;
    for (const fd of unwanted) this.#fds[this.#fds.indexOf(fd)] = -1;
    this.#host.dropFds(unwanted);
  }

  takeFd(index: number): Fd {
    const fd = this.fd(index);
    this.#fds[index] = -1;
    this.#host.gaveFd();
    return new Fd(fd);
  }

  passFd(fd: Fd): number {
    requireFdObject(fd, 'fd');
    if (this.#closed) {
      fd.close();
      return 0;
    }
    this.#passed ??= [];
    if (this.#passed.length === MAX_PASSED_FDS) {
      fd.close();
      throw new RangeError(`a reply carries ${MAX_PASSED_FDS} descriptors at most`);
    }
    return this.#passed.push(fd) - 1;
  }

  notify(reply: object): void {
    this.#host.notify(this, reply);
  }

  takeConnection(use: UseConnection): void {
    checkFunction('use', use);
    if (!this.upgrade) throw varlinkService.errors.ExpectedUpgrade();
    this.useConnection = use;
  }

  /** Keeps a reply until it is known whether it is the last, with the descriptors passed for it. */
  hold(text: string): void {
    this.#held = { text, fds: this.takePassed() };
  }

  /** The reply that is kept; it is the caller's from now on. */
  takeHeld(): HeldReply | undefined {
    const held = this.#held;
    this.#held = undefined;
    return held;
  }

  /** The descriptors that go with the next reply; they are the caller's from now on. */
  takePassed(): readonly Fd[] {
    const passed = this.#passed ?? NO_FDS;
    this.#passed = undefined;
    return passed;
  }

  [Symbol.dispose](): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#fds.length > 0) {
      this.#host.dropFds(this.#fds);
      this.#fds.fill(-1);
    }
    if (this.#passed !== undefined) closeAll(this.takePassed());
    if (this.#held !== undefined) closeAll(this.takeHeld()?.fds ?? NO_FDS);
    this.#host.callEnded();
  }
}
