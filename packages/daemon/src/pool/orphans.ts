import type { EventLoop } from '@sdrx/event';
import { isSystemError } from '@sdrx/linux';
import { takeUntil } from 'rxjs';
import type { Log } from '../program/log.js';
import type { PoolSystem } from './pool-system.js';

/** When it is tried again to find them, in milliseconds, for want of a descriptor. */
const RETRY = 1000;

/**
 * Ends what workers leave behind. A worker may be killed while processes of its own are inside a user namespace, where the
 * namespace's owner can have stopped them: they would stay, as root's, and keep the namespace alive. So this process is
 * the one that the kernel gives them to.
 */
export class Orphans {
  readonly #ending = new Set<number>();
  readonly #spared = new Set<number>();
  #cancelRetry: (() => void) | undefined;
  /** Whether a look is to come. */
  #isDue = false;

  /**
   * @param isOurs whether a child of this process is one that it started itself
   * @param onEnd is told when one has ended and was reaped, and when it was found that there are none
   */
  constructor(
    readonly loop: EventLoop,
    readonly isOurs: (pid: number) => boolean,
    readonly onEnd: () => void,
    readonly log: Log,
    readonly system: PoolSystem,
  ) {
    system.becomeSubreaper();
  }

  /** Whether some have not ended yet, or may be there. */
  get left(): boolean {
    return this.#isDue || this.#ending.size > 0;
  }

  /**
   * Kills all that are there, and reaps them as they end. Not at once: of the many workers that may end at a time each has this called,
   * and one look at all children, of which there may be thousands, is enough.
   */
  end(): void {
    if (this.#isDue) return;
    if (this.loop.state === 'finished') {
      this.#look();
      return;
    }
    this.#isDue = true;
    // After all whose end is known by now: each turn of a `defer` comes last.
    this.loop.defer({ description: 'look for orphans' }).subscribe(() => {
      this.#isDue = false;
      this.#look();
      if (!this.left) this.onEnd();
    });
  }

  #look(): void {
    try {
      for (const pid of this.system.children()) {
        if (!this.isOurs(pid) && !this.#ending.has(pid) && !this.#spared.has(pid)) this.#end(pid);
      }
    } catch (error) {
      this.#tryAgain(error);
    }
  }

  /**
   * Leaves those that are there now alone for so many milliseconds: workers of a process that was to take over and has failed, which
   * finish what they have begun.
   */
  spare(time: number): void {
    try {
      for (const pid of this.system.children()) if (!this.isOurs(pid) && !this.#ending.has(pid)) this.#spare(pid, time);
    } catch (error) {
      this.#tryAgain(error);
    }
  }

  #spare(pid: number, time: number): void {
    this.#spared.add(pid);
    const late = this.loop.time({ after: time, description: 'spared process' });
    this.loop
      .child(pid, { description: 'spared process' })
      .pipe(takeUntil(late))
      .subscribe({
        complete: () => {
          this.#spared.delete(pid);
          this.end();
        },
        error: (error) => {
          this.#spared.delete(pid);
          this.#tryAgain(error);
        },
      });
  }

  #end(pid: number): void {
    this.log.debug(`process ${pid} has outlived its worker, it is killed`);
    this.#ending.add(pid);
    // Ours until it is reaped, so that its id is nobody else's.
    this.system.kill(pid);
    this.loop.child(pid, { description: 'orphan' }).subscribe({
      complete: () => {
        this.#ending.delete(pid);
        // Now we have its children.
        this.end();
      },
      error: (error) => {
        this.#ending.delete(pid);
        this.#tryAgain(error);
      },
    });
  }

  /** Later there may be a descriptor to be had. Not the loop's timer, which could want one. */
  #tryAgain(error: unknown): void {
    if (!isSystemError(error)) throw error;
    this.log.warning('what dead workers left behind can not be ended now', error);
    this.#cancelRetry?.();
    this.#cancelRetry = this.system.later(RETRY, () => this.#look());
  }
}
