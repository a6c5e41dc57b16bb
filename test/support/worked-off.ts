import { EventLoop } from '@sdrx/event';
import { finalize, lastValueFrom, type Observable } from 'rxjs';

/** Works a generator off without a pause. @returns what it returns */
export function workedOff<T>(steps: Generator<unknown, T>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/** Runs a loop until what is done on it is complete. @returns its last value */
export async function onLoop<T>(work: (loop: EventLoop) => Observable<T>): Promise<T> {
  using loop = new EventLoop();
  const done = lastValueFrom(work(loop).pipe(finalize(() => loop.exit(0))));
  await Promise.all([loop.run(), done.catch(() => {})]);
  return await done;
}
