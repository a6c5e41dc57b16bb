import type { EventLoop } from '@sdrx/event';
import { atLoad } from '@sdrx/linux';
import { Observable, Subscription } from 'rxjs';

/** How long such work may go on before others have their turn, in milliseconds. */
const SLICE = 3;

/** Work that yields wherever it may be interrupted, and a promise where it has to wait for that. */
export type Steps<T> = Generator<Promise<unknown> | undefined, T>;

type Step<T> = IteratorResult<Promise<unknown> | undefined, T>;

/**
 * Does long work in slices of a few milliseconds, between which the loop does what else there is to do; emits what it
 * returns. To unsubscribe ends it where it stands.
 */
export function inSlices<T>(loop: EventLoop, work: () => Steps<T>): Observable<T> {
  return new Observable((subscriber) => {
    const steps = work();
    let turns = Subscription.EMPTY;
    const goOn = (): void => {
      turns = loop
        .defer({ repeat: true, description: 'work in slices' })
        .subscribe({ next: () => run(() => steps.next()), error: (error) => subscriber.error(error) });
    };
    const settled = (resume: () => Step<T>): void => {
      if (subscriber.closed) return;
      goOn();
      run(resume);
    };
    const run = (resume: () => Step<T>): void => {
      try {
        const step = slice(steps, resume());
        if (step.done === true) {
          turns.unsubscribe();
          subscriber.next(step.value);
          subscriber.complete();
        } else if (step.value !== undefined) {
          turns.unsubscribe();
          step.value.then(
            () => settled(() => steps.next()),
            (error) => settled(() => steps.throw(error)),
          );
        }
      } catch (error) {
        turns.unsubscribe();
        subscriber.error(error);
      }
    };
    goOn();
    return () => {
      turns.unsubscribe();
      // What it has open, it closes.
      steps.return(undefined as T);
    };
  });
}

function slice<T>(steps: Steps<T>, first: Step<T>): Step<T> {
  const end = atLoad.performanceNow() + SLICE;
  let step = first;
  while (step.done !== true && step.value === undefined && atLoad.performanceNow() <= end) step = steps.next();
  return step;
}
