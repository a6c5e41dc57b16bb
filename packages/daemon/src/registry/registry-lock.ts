import type { EventLoop } from '@sdrx/event';
import {
  atLoad,
  EBUSY,
  type Fd,
  isSystemError,
  lockExclusive,
  SystemError,
  tryLockByte,
  tryLockExclusive,
  unlock,
  unlockByte,
} from '@sdrx/linux';
import { Observable, type Subscription } from 'rxjs';
import { attempt } from '../program/attempt.js';

/** How long a call waits for the lock, in milliseconds. Who holds it needs a few at most. */
export const LOCK_LIMIT = 5000;

/** The longest time between two tries, in milliseconds; after `LONG`, when somebody holds the lock for long, the other one. */
const INTERVAL = 1.5;
const LONG = 200;
const LONG_INTERVAL = 8;

/** After this time one tries most often, in milliseconds, so that who came first is likely to be next. */
const EAGER = 40;

export interface AcquireOptions {
  /** How long to wait, in milliseconds. */
  readonly limit?: number;
}

/** Who waits in this process, in order. */
interface Waiter {
  readonly loop: EventLoop;
  readonly since: number;
  readonly granted: () => void;
  readonly failed: (error: unknown) => void;
}

/**
 * The exclusive lock of a file that other processes lock, too: systemd's as well as ours. flock(2)
 *
 * The kernel has a queue for those who wait within the call only, and a loop can't. So one tries again after a random time,
 * the shorter the longer one has waited, also when this process had the lock itself a moment ago: that way each process has
 * its turn, and the one that waits longest most likely the next.
 */
export class RegistryLock implements Disposable {
  readonly #file: Fd;
  readonly #path: string;
  #holders = 0;
  readonly #claims = new Set<number>();
  readonly #waiting: Waiter[] = [];
  #timer: Subscription | undefined;

  /** @param file is ours from now on */
  constructor(file: Fd, path: string) {
    this.#file = file;
    this.#path = path;
  }

  /** Takes it, waiting with all of this process. Locks of one process nest; the last one to go gives it back. */
  hold(whileWaiting?: () => void): Disposable {
    if (this.#holders === 0) this.#take(whileWaiting);
    return this.#nest();
  }

  /**
   * Waits for it without holding up the loop, then emits it once and completes. It is held until the subscriber has dealt with
   * it, or has disposed of it: what needs it has to be done by then, synchronously. To unsubscribe is to wait no longer.
   *
   * Fails with EBUSY when the limit is over, ENOLCK.
   */
  acquire(loop: EventLoop, { limit = LOCK_LIMIT }: AcquireOptions = {}): Observable<Disposable> {
    return new Observable((subscriber) => {
      const waiter: Waiter = {
        loop,
        since: atLoad.performanceNow(),
        granted: () => {
          using held = this.#nest();
          subscriber.next(held);
          subscriber.complete();
        },
        failed: (error) => subscriber.error(error),
      };
      // Within what holds it already there is nothing to wait for.
      if (this.#holders > 0) {
        waiter.granted();
        return;
      }
      subscriber.add(() => this.#leave(waiter));
      this.#waiting.push(waiter);
      if (this.#timer === undefined) this.#tryFirst();
      if (subscriber.closed) return;
      subscriber.add(
        loop.time({ after: limit, description: 'registry lock' }).subscribe({
          next: () => subscriber.error(new SystemError(EBUSY, 'flock', this.#path)),
          error: (error) => subscriber.error(error),
        }),
      );
    });
  }

  /**
   * Takes the lock of one number beside it, unless somebody else has that. fcntl(2)
   * @returns what gives it back
   */
  claim(number: number): Disposable | undefined {
    // Within one process the lock of a byte is always granted.
    if (this.#claims.has(number) || !tryLockByte(this.#file.number, number)) return undefined;
    this.#claims.add(number);
    return {
      [Symbol.dispose]: () => {
        if (!this.#claims.delete(number) || this.#file.number === -1) return;
        const giveBack = () => unlockByte(this.#file.number, number);
        // Others could never claim it if it stayed, so a passing failure gets a second chance.
        if (attempt(giveBack).length > 0) giveBack();
      },
    };
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#timer?.unsubscribe();
    this.#file.close();
  }

  /** Gives the lock to who has waited longest, if it is free. */
  #tryFirst(): void {
    this.#timer = undefined;
    const [first] = this.#waiting;
    if (first === undefined) return;
    let free = false;
    try {
      free = tryLockExclusive(this.#file.number);
    } catch (error) {
      first.failed(error);
    }
    // Set before anything else runs, so that what is acquired meanwhile waits in line.
    this.#tryLater(first);
    if (!free) return;
    this.#waiting.shift();
    first.granted();
  }

  #tryLater({ loop, since }: Waiter): void {
    const waited = atLoad.performanceNow() - since;
    const span = waited > LONG ? LONG_INTERVAL : INTERVAL * Math.max(0.2, 1 - waited / EAGER);
    const timer = loop.time({ after: Math.random() * span, accuracy: 0.1, description: 'try the registry lock' });
    let came = false;
    this.#timer = timer.subscribe({
      next: () => {
        came = true;
        this.#tryFirst();
      },
      error: (error) => {
        this.#timer = undefined;
        this.#waiting[0]?.failed(error);
      },
      complete: () => {
        if (!came) this.#abandon(loop);
      },
    });
  }

  /** Forgets who waited in a loop that has ended. Those of another loop try on. */
  #abandon(loop: EventLoop): void {
    this.#timer = undefined;
    for (const waiter of this.#waiting.filter((waiter) => waiter.loop === loop)) this.#leave(waiter);
    const [first] = this.#waiting;
    if (first !== undefined) this.#tryLater(first);
  }

  #leave(waiter: Waiter): void {
    const index = this.#waiting.indexOf(waiter);
    if (index >= 0) this.#waiting.splice(index, 1);
  }

  #take(whileWaiting: (() => void) | undefined): void {
    while (whileWaiting !== undefined) {
      if (tryLockExclusive(this.#file.number)) return;
      whileWaiting();
    }
    lockExclusive(this.#file.number);
  }

  #nest(): Disposable {
    this.#holders++;
    let held = true;
    return {
      [Symbol.dispose]: () => {
        if (held) this.#release();
        held = false;
      },
    };
  }

  #release(): void {
    if (--this.#holders > 0) return;
    try {
      unlock(this.#file.number);
    } catch (error) {
      // What was done with it held was done. Nobody could go on if it stayed, so a passing failure gets a second chance.
      if (!isSystemError(error)) throw error;
      unlock(this.#file.number);
    }
  }
}
