import { fstatSync } from 'node:fs';
import type { Watch } from '@sdrx/event';
import { EPOLLIN, EPOLLOUT, isSystemError, pollNow } from '@sdrx/linux';
import type { ReadyList } from './ready-list.js';
import { Descriptor } from './virtual-descriptors.js';

/**
 * Real pipes whose other end the virtual service manager has, as that of `notifyBarrier`. What happens to them happens within a turn of
 * the loop's world, so it is enough to look at them in each.
 */
export class RealPipes {
  readonly #list: ReadyList;
  readonly #pipes = new Map<number, RealPipe>();

  constructor(list: ReadyList) {
    this.#list = list;
  }

  watch(fd: number, events: number, ready: (revents: number) => void): Watch {
    const pipe = this.#pipes.get(fd) ?? new RealPipe(fd, this.#list, () => this.#pipes.delete(fd));
    this.#pipes.set(fd, pipe);
    return pipe.watch(events, ready);
  }

  /** Finds out which are ready. */
  look(): void {
    for (const pipe of this.#pipes.values()) pipe.look();
  }
}

/** Whether a descriptor is a real one of a pipe. */
export function isRealPipe(fd: number): boolean {
  try {
    return fd >= 0 && fstatSync(fd).isFIFO();
  } catch {
    return false;
  }
}

/** A pipe that is as ready as the real one. */
class RealPipe extends Descriptor {
  /** What it was ready for when it was looked at. */
  #seen = 0;

  constructor(fd: number, list: ReadyList, unwatched: () => void) {
    super(fd, true, list, unwatched);
  }

  override get revents(): number {
    try {
      return pollNow(this.number, EPOLLIN | EPOLLOUT);
    } catch (error) {
      // Closed, and its watch not disposed of yet.
      if (!isSystemError(error, 'EBADF')) throw error;
      return 0;
    }
  }

  look(): void {
    const { revents } = this;
    const fresh = revents & ~this.#seen;
    this.#seen = revents;
    if (fresh !== 0) this.changed(fresh);
  }

  protected override unwatched(): void {
    this[Symbol.dispose]();
  }
}
