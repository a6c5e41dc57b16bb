import { EPOLLIN, type Fd, isSystemError } from '@sdrx/linux';
import { BehaviorSubject, filter, firstValueFrom, type Observable, take } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { RestartSystem } from '../restart/restart-system.js';
import type { Ending } from './scope.js';

/** How long to wait between two signals, of which the second one hurries, in milliseconds. */
const BETWEEN_SIGNALS = 100;

/** The processes that this one has taken over from and which still serve what they had begun. */
export class FormerProcesses {
  readonly #system: RestartSystem;
  readonly #running: Set<Fd>;
  readonly #count: BehaviorSubject<number>;

  /** @param pidfds stay the caller's, who closes them when all is over */
  constructor(system: RestartSystem, pidfds: readonly Fd[]) {
    this.#system = system;
    this.#running = new Set(pidfds);
    this.#count = new BehaviorSubject(pidfds.length);
  }

  /**
   * Looks for their ends from now on.
   * @param failed told what that can't be done for
   */
  watch(loop: EventLoop, failed: (error: unknown) => void): void {
    for (const pidfd of this.#running) {
      const gone = () => {
        this.#running.delete(pidfd);
        this.#count.next(this.#running.size);
      };
      const ends = loop.io(pidfd, { events: EPOLLIN, description: 'former process' });
      ends.pipe(take(1)).subscribe({ next: gone, error: failed });
    }
  }

  /** Pidfds of those that run. */
  get running(): readonly Fd[] {
    // Also without one whose end the loop tells of in a moment.
    return [...this.#running].filter(({ number }) => !this.#system.hasEnded(number));
  }

  /** How many run, now and at each change. */
  get count(): Observable<number> {
    return this.#count;
  }

  /** Waits until all are gone, and hurries them when the signal is aborted. */
  async ended({ signal }: Ending): Promise<void> {
    let forget = () => {};
    const hurry = () => {
      this.#signal();
      forget = this.#system.later(BETWEEN_SIGNALS, () => this.#signal());
    };
    if (signal.aborted) hurry();
    else signal.addEventListener('abort', hurry, { once: true });
    await firstValueFrom(this.#count.pipe(filter((count) => count === 0)));
    signal.removeEventListener('abort', hurry);
    forget();
  }

  #signal(): void {
    for (const pidfd of this.#running) {
      try {
        this.#system.signal(pidfd.number, 'SIGTERM');
      } catch (error) {
        // It is gone already, or another user's by now.
        if (!isSystemError(error, 'ESRCH', 'EPERM')) throw error;
      }
    }
  }
}
