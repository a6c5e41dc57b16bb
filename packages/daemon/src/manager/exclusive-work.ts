import type { Serving } from '@sdrx/event';
import { BehaviorSubject, distinctUntilChanged, EMPTY, type Observable, of, switchMap } from 'rxjs';

/** What only one of two managers may do at a time, such as reading what the kernel tells once. It begins paused. */
export class ExclusiveWork implements Serving {
  readonly exclusive = true;
  readonly count = of(0);
  readonly waiting = false;
  readonly #isOn = new BehaviorSubject(false);

  /** @param work is done with what it has taken whenever it returns to the loop, so that to unsubscribe loses nothing */
  constructor(readonly work: Observable<unknown>) {}

  /** Does it while subscribed, and not paused. */
  run(): Observable<unknown> {
    return this.#isOn.pipe(
      distinctUntilChanged(),
      switchMap((isOn) => (isOn ? this.work : EMPTY)),
    );
  }

  resume(): void {
    this.#isOn.next(true);
  }

  pause(): void {
    this.#isOn.next(false);
  }

  drain(): Promise<void> {
    this.pause();
    return Promise.resolve();
  }
}
