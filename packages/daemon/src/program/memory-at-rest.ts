import type { EventLoop } from '@sdrx/event';
import { BehaviorSubject, defer, exhaustMap, ignoreElements, mergeMap, type Observable, of, tap } from 'rxjs';
import { releaseMemory } from './memory.js';

/** How long nothing may have happened until memory is given back, in milliseconds: so long, up to twice as long. */
const REST = 60_000;

/** After so many events it is worth it again. */
const WORTH = 1000;

/**
 * Has a process give memory back once it is at rest: what its start has used, and then what many events have. It takes some 50 ms of
 * the processor, with Node 20 some 200, in which who is connected is not heard, and who comes afterwards waits a millisecond or two
 * longer, once.
 */
export class MemoryAtRest {
  readonly #loop: EventLoop;
  readonly #release: () => void;
  /** It is worth it at once: a start uses much that is not used again. */
  readonly #due = new BehaviorSubject<void>(undefined);
  /** How many events there were since memory was given back. */
  #events = 0;

  constructor(loop: EventLoop, release = releaseMemory) {
    this.#loop = loop;
    this.#release = release;
  }

  /** Something happened. */
  tell(): void {
    if (++this.#events === WORTH) this.#due.next();
  }

  /** Gives memory back as long as it is subscribed to. */
  readonly run: Observable<never> = defer(() =>
    this.#due.pipe(
      exhaustMap(() => this.#rest),
      tap(() => {
        this.#release();
        this.#events = 0;
      }),
      ignoreElements(),
    ),
  );

  /** Comes once nothing has happened for a time. By chance, so that processes that began together don't do it together. */
  readonly #rest: Observable<unknown> = defer(() => {
    const before = this.#events;
    const after = REST * (1 + Math.random());
    return this.#loop
      .time({ after, description: 'memory at rest' })
      .pipe(mergeMap(() => (this.#events === before ? of(undefined) : this.#rest)));
  });
}
