import { type Fd, isSystemError, type PeerCredentials, peerCredentials, write } from '@sdrx/linux';
import { hasRoomForConnection } from './descriptor-room.js';
import { type Bars, MOST_CLOSING } from './fd-closer.js';
import { type RefusalReason, refusal, type ServeLimits } from './limits.js';
import { encodeError } from './message.js';
import type { ServeOptions } from './serve-options.js';
import { Tarpit } from './tarpit.js';
import type { Refused, User, Users } from './user.js';

/** By whom a connection is counted whose user is not known. */
const NOBODY = 65_534;

/** What the gate needs of its server. */
export interface GateHost {
  /** Closes a connection that is not let in. */
  retire(user: User, fd: Fd, empty: boolean): void;
  refused(user: User, reason: RefusalReason): void;
  failed(error: unknown): void;
}

/** Who is let in. */
export interface Guest {
  readonly user: User;
  readonly peer: PeerCredentials;
  /** What `ServeOptions.admit` returned. */
  readonly admission: Disposable | undefined;
}

/** Decides which new connections are served, and sends the others away. */
export class Gate implements Disposable {
  readonly #tarpit = new Tarpit((refused) => this.#sendAway(refused));

  constructor(
    readonly host: GateHost,
    readonly options: Pick<ServeOptions, 'account' | 'admit'>,
    readonly limits: ServeLimits,
    readonly users: Users,
    readonly bars: Bars,
  ) {}

  /**
   * Lets a connection in, or refuses it.
   * @param connections that there are
   * @returns undefined if it is refused
   */
  pass(fd: Fd, connections: number): Guest | undefined {
    const peer = this.#peerOf(fd);
    if (peer === undefined) {
      const nobody = this.users.of(NOBODY);
      this.host.retire(nobody, fd, false);
      this.users.settle(nobody);
      return undefined;
    }
    const user = this.users.of(this.options.account?.(peer) ?? peer.uid);
    const reason = this.#objection(user, connections);
    if (reason !== undefined) {
      this.refuse(fd, user, reason);
      return undefined;
    }
    if (this.options.admit === undefined) return { user, peer, admission: undefined };
    const admission = this.#admit(peer);
    if (admission !== undefined) return { user, peer, admission };
    this.refuse(fd, user, 'admit');
    return undefined;
  }

  /** Tells a new client why it can't be served, at once or when it is its turn, and closes. */
  refuse(fd: Fd, user: User, reason: RefusalReason): void {
    this.host.refused(user, reason);
    const refused = { fd, user, reason };
    if (hasRoomForConnection(fd.number)) this.#tarpit.add(refused);
    else this.#sendAway(refused);
  }

  /** Sends those away who wait to be told. */
  empty(): void {
    this.#tarpit.empty();
  }

  [Symbol.dispose](): void {
    this.#tarpit[Symbol.dispose]();
  }

  #sendAway({ fd, user, reason }: Refused): void {
    try {
      // A new socket takes that much.
      write(fd.number, Buffer.from(encodeError(refusal(reason))));
    } catch (error) {
      // It may have left.
      if (!isSystemError(error)) throw error;
    }
    this.host.retire(user, fd, false);
    this.users.settle(user);
  }

  /** Who connected; undefined if the kernel fails to tell, which costs that client only. */
  #peerOf(fd: Fd): PeerCredentials | undefined {
    try {
      return peerCredentials(fd.number);
    } catch (error) {
      this.host.failed(error);
      return undefined;
    }
  }

  #admit(peer: PeerCredentials): Disposable | undefined {
    try {
      return this.options.admit?.(peer);
    } catch (error) {
      this.host.failed(error);
      return undefined;
    }
  }

  /** Why a user can't have another connection, if so. */
  #objection(user: User, connections: number): RefusalReason | undefined {
    if (connections >= this.limits.connections) return 'connections';
    if (user.connections >= this.limits.connectionsPerUser) return 'connectionsPerUser';
    return user.closing > MOST_CLOSING && this.bars.has(user.uid) ? 'bar' : undefined;
  }
}
