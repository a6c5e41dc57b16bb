import { IdleTimer } from '@sdrx/daemon';
import { EventLoop } from '@sdrx/event';
import { finalize, tap } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

/** Milliseconds. */
const LIMIT = 40;

/** Runs a loop until its timer has elapsed; when that was, and how often, from the timer's start. */
async function elapsed(
  prepare: (timer: IdleTimer, loop: EventLoop) => void,
): Promise<{ after: number; times: number }> {
  using loop = new EventLoop();
  const timer = new IdleTimer(loop, LIMIT, 0);
  const begin = loop.now();
  let times = 0;
  let after = 0;
  prepare(timer, loop);
  const counted = timer.elapsed.pipe(
    tap(() => {
      times++;
      after = loop.now() - begin;
    }),
    finalize(() => loop.exit()),
  );
  await loop.run(counted);
  return { after, times };
}

t.test(
  'tells once that nothing happened for the time',
  leavingNothing(async (t) => {
    const { after, times } = await elapsed(() => {});
    t.ok(after >= LIMIT, `after ${after} ms`);
    t.equal(times, 1);
  }),
);

t.test(
  'counts from the last time that something happened',
  leavingNothing(async (t) => {
    let last = 0;
    const { after, times } = await elapsed((timer, loop) => {
      const begin = loop.now();
      let left = 3;
      const events = loop.time({ clock: 'monotonic', every: LIMIT / 2, accuracy: 0 }).subscribe(() => {
        timer.restart();
        last = loop.now() - begin;
        if (--left === 0) events.unsubscribe();
      });
    });
    t.ok(after >= last + LIMIT, `after ${after} ms, the last event after ${last} ms`);
    t.ok(last > LIMIT, 'it was put off');
    t.equal(times, 1);
  }),
);

t.test(
  'comes at once when the time has passed before it is asked',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const timer = new IdleTimer(loop, 0, 0);
    let times = 0;
    timer.elapsed.subscribe(() => times++);
    t.equal(times, 1);
  }),
);
