import { constants } from 'node:fs';
import {
  atLoad,
  CGROUP2_SUPER_MAGIC,
  EPOLLERR,
  EPOLLONESHOT,
  EPOLLPRI,
  Epoll,
  type Fd,
  fileSystemType,
  NodePoll,
  openFile,
  PROC_SUPER_MAGIC,
  pollNow,
} from '@sdrx/linux';
import type { Watch } from './kernel.js';

/**
 * Whether `fd` may be of a file that tells each event once, to whoever asks first: /proc/self/mountinfo, /proc/swaps and the
 * pressure files do, all by EPOLLPRI.
 * @param events an EPOLL* mask; 0 for one that is to come
 * @throws EBADF
 */
export function mayTellOnce(fd: number, events: number): boolean {
  if (events !== 0 && (events & EPOLLPRI) === 0) return false;
  const type = fileSystemType(fd);
  return type === PROC_SUPER_MAGIC || type === CGROUP2_SUPER_MAGIC;
}

/**
 * Watches such a file. In the loop's epoll set its events would be lost: Node's own set holds that one, and asks what is in it
 * to learn whether it is ready, so that there is nothing left when the loop asks. Here the file has a set to itself, and
 * Node's word that it is ready is the event.
 *
 * Node takes up a new set at its next turn, and what came since the start is lost with that. Another open file of the same
 * kind, of which only we ask, tells it.
 */
export class OnceWatch implements Watch {
  readonly #fd: number;
  readonly #ready: (revents: number) => void;
  readonly #epoll = new Epoll();
  readonly #poll: NodePoll;
  #events: number;
  #paused = false;
  /** What came while it was paused. */
  #missed = 0;
  /** Whether the file is in the set: not after an EPOLLONESHOT, nor while a level was told that nobody is to know. */
  #entered = true;
  #witness: Fd | undefined;
  #immediate: NodeJS.Immediate | undefined;

  /**
   * Calls `ready` with an EPOLL* mask; it must not throw. Does not keep Node alive.
   * @param fd stays the caller's, who closes it afterwards
   * @throws EPERM for a file that can't be polled
   */
  constructor(fd: number, events: number, ready: (revents: number) => void) {
    this.#fd = fd;
    this.#events = events;
    this.#ready = ready;
    try {
      this.#witness = openWitness(fd);
      this.#epoll.add(fd, events, 0);
      this.#poll = new NodePoll(this.#epoll.fd, () => this.#told());
      this.#poll.unref();
    } catch (error) {
      this.#witness?.close();
      this.#epoll[Symbol.dispose]();
      throw error;
    }
    // Called while Node waits, the next immediate comes before it takes up the set, and the one after that when it has.
    this.#immediate = atLoad.setImmediate(() => {
      this.#immediate = atLoad.setImmediate(() => this.#askWitness());
    });
  }

  change(events: number): void {
    this.#events = events;
    this.#missed = 0;
    this.#enter();
  }

  /** What comes meanwhile is told afterwards. */
  pause(on: boolean): void {
    this.#paused = on;
    if (on || this.#missed === 0) return;
    const missed = this.#missed;
    this.#missed = 0;
    if ((this.#events & EPOLLONESHOT) === 0) this.#enter();
    this.#ready(missed);
  }

  [Symbol.dispose](): void {
    atLoad.clearImmediate(this.#immediate);
    this.#witness?.close();
    this.#poll[Symbol.dispose]();
    this.#epoll[Symbol.dispose]();
  }

  #told(): void {
    // It would tell the same again.
    this.#witness?.close();
    const isLevel = this.#epoll.poll() > 0;
    // Of what Node took it can only be said what it must have been.
    const taken = (this.#events & EPOLLPRI) === 0 ? EPOLLERR : EPOLLPRI;
    this.#pass(isLevel ? this.#epoll.revents(0) : taken, isLevel);
  }

  #askWitness(): void {
    using witness = this.#witness;
    if (witness === undefined || witness.number === -1) return;
    if ((pollNow(witness.number, EPOLLPRI) & this.#events) === 0) return;
    // It may have come after Node took up the set, which would then tell the same again.
    this.#epoll.poll();
    this.#pass(EPOLLPRI, false);
  }

  #pass(revents: number, isLevel: boolean): void {
    // A level that nobody takes away would keep Node awake.
    if ((this.#events & EPOLLONESHOT) !== 0 || (this.#paused && isLevel)) this.#leave();
    if (this.#paused) this.#missed |= revents;
    else this.#ready(revents);
  }

  #enter(): void {
    if (this.#entered) this.#epoll.modify(this.#fd, this.#events, 0);
    else this.#epoll.add(this.#fd, this.#events, 0);
    this.#entered = true;
  }

  #leave(): void {
    this.#epoll.remove(this.#fd);
    this.#entered = false;
  }
}

/** Another open file that tells what happens from now on; undefined if it tells other things. */
function openWitness(fd: number): Fd | undefined {
  let witness: Fd;
  try {
    witness = openFile(`/proc/self/fd/${fd}`, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch {
    return undefined;
  }
  if ((pollNow(witness.number, EPOLLPRI) & EPOLLPRI) === 0) return witness;
  witness.close();
  return undefined;
}
