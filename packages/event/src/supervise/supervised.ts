import { checkObject, wrongKind } from '@sdrx/linux';
import { BehaviorSubject, combineLatest, map, merge, type Observable, of, Subject, type Subscription } from 'rxjs';
import type { EventLoop } from '../loop.js';
import type { Ending } from '../service/scope.js';
import { supervise } from '../service/supervise.js';
import { stopRequests } from './stop-requests.js';
import type { Program, SuperviseOptions } from './supervise-options.js';
import type { SupervisionEvent, SupervisionOver } from './supervision-event.js';

/** How many events may wait for one who iterates; then the program's output waits in its pipes. */
const MOST_UNREAD = 256;

/**
 * A program that is kept running, as an object with promises: what `supervise` does, with its options. It begins when the loop runs.
 *
 * Its events can be iterated over, by any number at a time, each from then on. Who is slow has the program's output wait.
 */
export class Supervised implements AsyncDisposable, Disposable, AsyncIterable<SupervisionEvent> {
  /** What became of it in the end. Rejects as `supervise` fails. */
  readonly finished: Promise<SupervisionOver>;
  readonly #events = new Subject<SupervisionEvent>();
  readonly #requests = new Subject<void>();
  /** How many iterate and have too much to read. */
  readonly #slow = new BehaviorSubject(0);
  readonly #subscription: Subscription;
  #pid: number | undefined;
  #last: SupervisionOver = { type: 'stopped', attempts: 0, success: true };
  #stopping = false;

  /** @throws as `supervise` does */
  constructor(loop: EventLoop, program: Program | ((attempt: number) => Program), options: SuperviseOptions = {}) {
    // Looks at the options as they were given.
    supervise(loop, program, options);
    const { stop = {}, output = 'lines', paused = of(false) } = options;
    const held = combineLatest([this.#slow, paused]).pipe(map(([slow, asked]) => slow > 0 || asked));
    const program$ = supervise(loop, program, {
      ...options,
      stop: { ...stop, on: merge(this.#requests, stopRequests(stop.on)) },
      ...(output === 'lines' && { paused: held }),
    });
    this.finished = new Promise((resolve, reject) => {
      this.#events.subscribe({ error: reject, complete: () => resolve(this.#last) });
    });
    this.#subscription = program$.subscribe({
      next: (event) => this.#tell(event),
      error: (error) => this.#events.error(error),
      complete: () => this.#events.complete(),
    });
  }

  /** All that becomes of it, from the subscription on. */
  get events(): Observable<SupervisionEvent> {
    return this.#events.asObservable();
  }

  /** The id of its process, while there is one. */
  get pid(): number | undefined {
    return this.#pid;
  }

  /**
   * Asks it to end: by the stop signal, and by SIGKILL at the deadline, or when `ending` is aborted. A step of a scope:
   * `scope.add('program', (ending) => supervised.stop(ending))`.
   * @returns as `finished`
   */
  stop(ending?: Ending): Promise<SupervisionOver> {
    if (ending !== undefined) checkObject('ending', ending);
    const signal = ending?.signal;
    if (ending !== undefined && !(signal instanceof AbortSignal)) {
      throw wrongKind('ending.signal', 'an AbortSignal', signal);
    }
    if (!this.#stopping) this.#requests.next();
    this.#stopping = true;
    if (signal?.aborted) this.#requests.next();
    else signal?.addEventListener('abort', () => this.#requests.next(), { once: true });
    return this.finished;
  }

  /** Its events from now on; ends after the last one, rejects as `supervise` fails. To leave it does not end the program. */
  async *[Symbol.asyncIterator](): AsyncGenerator<SupervisionEvent, void, undefined> {
    const unread: SupervisionEvent[] = [];
    let slow = false;
    let wake = () => {};
    let over = false;
    const setSlow = (now: boolean) => {
      if (slow === now) return;
      slow = now;
      this.#slow.next(this.#slow.value + (now ? 1 : -1));
    };
    const end = () => {
      over = true;
      wake();
    };
    const subscription = this.#events.subscribe({
      next: (event) => {
        unread.push(event);
        if (unread.length >= MOST_UNREAD) setSlow(true);
        wake();
      },
      error: end,
      complete: end,
    });
    try {
      while (!over || unread.length > 0) {
        const event = unread.shift();
        if (event !== undefined) {
          yield event;
          continue;
        }
        setSlow(false);
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      // Rejects where the events ended by an error.
      await this.finished;
    } finally {
      subscription.unsubscribe();
      setSlow(false);
    }
  }

  /** As `stop`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Ends it at once, by SIGKILL. */
  [Symbol.dispose](): void {
    this.#subscription.unsubscribe();
    this.#events.complete();
  }

  #tell(event: SupervisionEvent): void {
    if (event.type === 'started') {
      this.#pid = event.pid;
      this.#last = { ...this.#last, attempts: event.attempt };
    } else if (event.type === 'ended') {
      this.#pid = undefined;
      this.#last = { ...this.#last, attempts: event.attempt, success: event.success };
    } else if (event.type !== 'line' && event.type !== 'waiting') {
      this.#last = event;
    }
    this.#events.next(event);
  }
}
