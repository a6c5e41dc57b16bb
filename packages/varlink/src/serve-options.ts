import type { SourceOptions } from '@sdrx/event';
import type { PeerCredentials } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Bars } from './fd-closer.js';
import type { ServeLimits } from './limits.js';

/** How `serve` serves. */
export interface ServeOptions extends SourceOptions {
  /** How many connections one wake-up accepts at most, 32 by default. */
  readonly acceptBatch?: number;
  /**
   * Whether this process is one of several that serve the same socket, all of them with this: for a new connection the kernel wakes
   * one of them that has nothing to do, not all, and those first that have fewer connections that stay. If that one ends or stops accepting just then, another one finds the connection
   * within 1.25 seconds. By default false. EPOLLEXCLUSIVE of epoll_ctl(2)
   */
  readonly exclusive?: boolean;
  /**
   * When it emits, the server stops accepting, answers the calls that have arrived completely, closes each connection
   * that has none, and completes when none is left. A call with `more` that never ends keeps it from that.
   *
   * No call is lost by that: a connection on which none has come yet has a second for its first one, and a client that sends when
   * a connection is about to be closed gets EPIPE, so that it may ask again elsewhere.
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
