import { atLoad, EPOLLIN, type Fd, isReadable, isSystemError, pidfdSendSignal } from '@sdrx/linux';
import { BehaviorSubject, filter, firstValueFrom, type Observable, take } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { Ending } from './scope.js';

/** How long to wait between two signals, of which the second one hurries, in milliseconds. */
const BETWEEN_SIGNALS = 100;

/** The processes that this one has taken over from and which still serve what they had begun. */
export class FormerProcesses {
  readonly #running = new Set<Fd>();
  readonly #count = new BehaviorSubject(0);

  /** @param pidfds stay the caller's, who closes them when all is over */
  constructor(loop: EventLoop, pidfds: readonly Fd[]) {
    for (const pidfd of pidfds) {
      this.#running.add(pidfd);
      loop
        .io(pidfd, { events: EPOLLIN, description: 'former process' })
        .pipe(take(1))
        .subscribe(() => {
          this.#running.delete(pidfd);
          this.#count.next(this.#running.size);
        });
    }
    this.#count.next(this.#running.size);
  }

  /** Pidfds of those that run. */
  get running(): readonly Fd[] {
    // Also without one whose end the loop tells of in a moment.
    return [...this.#running].filter(({ number }) => !isReadable(number));
  }

  /** How many run, now and at each change. */
  get count(): Observable<number> {
    return this.#count;
  }

  /** Waits until all are gone, and hurries them when the signal is aborted. */
  async ended({ signal }: Ending): Promise<void> {
    let second: NodeJS.Timeout | undefined;
    const hurry = () => {
      this.#signal();
      second = atLoad.setTimeout(() => this.#signal(), BETWEEN_SIGNALS);
    };
    if (signal.aborted) hurry();
    else signal.addEventListener('abort', hurry, { once: true });
    await firstValueFrom(this.#count.pipe(filter((count) => count === 0)));
    signal.removeEventListener('abort', hurry);
    atLoad.clearTimeout(second);
  }

  #signal(): void {
    for (const pidfd of this.#running) {
      try {
        pidfdSendSignal(pidfd.number, 'SIGTERM');
      } catch (error) {
        // It is gone already, or another user's by now.
        if (!isSystemError(error, 'ESRCH', 'EPERM')) throw error;
      }
    }
  }
}
