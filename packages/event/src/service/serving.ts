import type { Observable } from 'rxjs';
import type { Ending } from './scope.js';

/**
 * What takes work from a socket, whatever its protocol, and can be told to leave there what comes. Idle exit, graceful restart and
 * an orderly end are made of these few words, so whoever has them is spoken to in all three.
 *
 * It begins paused.
 */
export interface Serving {
  /** How much it has taken and not finished, such as connections: the present number, and every later one. */
  readonly count: Observable<number>;
  /**
   * Whether two processes must not take from the socket at a time, as of datagrams, where either may get the one that belongs to
   * the other's. At a graceful restart the old process then stops before the new one begins. By default not.
   */
  readonly exclusive?: boolean;
  /** Whether something waits in the socket, as far as the kernel knows now. */
  readonly waiting: boolean;
  /** Takes work, from now on or again. */
  resume(): void;
  /** Takes no more: what comes from now on waits in the socket, where this or another process will find it. */
  pause(): void;
  /** Takes no more, and has what it has taken come to its end; what is left when the signal is aborted is broken off. */
  drain(ending: Ending): Promise<void>;
}
