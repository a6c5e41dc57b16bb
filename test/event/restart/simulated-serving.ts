import type { Ending, Serving } from '@sdrx/event';
import { BehaviorSubject, filter, firstValueFrom } from 'rxjs';
import type { SimulatedProcess } from './simulated-process.js';

/** What is told of a serving. */
export interface ServingObserver {
  resumed(serving: SimulatedServing): void;
  paused(serving: SimulatedServing): void;
}

/** What takes clients from a socket, as long as its process lives. */
export class SimulatedServing implements Serving {
  readonly count = new BehaviorSubject(0);
  readonly #observer: ServingObserver;
  #isResumed = false;

  constructor(
    readonly process: SimulatedProcess,
    readonly name: string,
    /** Whether two processes must not take from it at a time. */
    readonly exclusive: boolean,
    observer: ServingObserver,
  ) {
    this.#observer = observer;
  }

  /** Whether it takes, or will when its process goes on. */
  get serves(): boolean {
    return this.#isResumed && this.process.runs;
  }

  get waiting(): boolean {
    return false;
  }

  resume(): void {
    if (!this.process.runs) return;
    this.#isResumed = true;
    this.#observer.resumed(this);
  }

  pause(): void {
    if (!this.process.runs || !this.#isResumed) return;
    this.#isResumed = false;
    this.#observer.paused(this);
  }

  /** Takes a client. */
  take(): void {
    this.count.next(this.count.value + 1);
  }

  /** A client has what it wanted. */
  finish(): void {
    if (this.process.runs && this.count.value > 0) this.count.next(this.count.value - 1);
  }

  async drain({ signal }: Ending): Promise<void> {
    this.pause();
    const breakOff = () => this.count.next(0);
    if (signal.aborted) breakOff();
    else signal.addEventListener('abort', breakOff, { once: true });
    await firstValueFrom(this.count.pipe(filter((count) => count === 0)));
  }
}
