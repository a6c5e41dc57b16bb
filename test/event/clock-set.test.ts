import type { TimeEvent } from '@sdrx/event';
import { type Clock, now } from '@sdrx/linux';
import { firstValueFrom, type Observable } from 'rxjs';
import t from 'tap';
import { needsAlarms } from '../support/privileges.js';
import { needsSettableClock, withClockShifted } from '../support/shift-clock.js';
import { until } from '../support/until.js';
import { within } from '../support/within.js';
import { onLoop } from './on-loop.js';

const HOUR = 3600;
const HALF_AN_HOUR = 1_800_000;

/** What a source has brought. */
function recorded(source: Observable<TimeEvent>): { events: TimeEvent[]; unsubscribe(): void } {
  const events: TimeEvent[] = [];
  const subscription = source.subscribe((event) => events.push(event));
  return { events, unsubscribe: () => subscription.unsubscribe() };
}

/**
 * Lets Node's loop turn until `condition` holds, but not for long: the clock of the whole machine is wrong meanwhile. The
 * kernel tells of the change before the call that makes it returns, so that a few turns are enough.
 */
async function soon(condition: () => boolean): Promise<void> {
  for (let turn = 0; turn < 100 && !condition(); turn++) await new Promise((resolve) => setImmediate(resolve));
}

/** Has the loop set its kernel timer, and wait for it. */
async function waiting(): Promise<void> {
  await soon(() => false);
}

for (const clock of ['realtime', 'realtime-alarm'] as const) {
  t.test(
    `a timer on the ${clock} clock comes as soon as that is set to its time or beyond`,
    clock === 'realtime' ? needsSettableClock : { ...needsAlarms, ...needsSettableClock },
    onLoop(async (t, loop) => {
      const at = now(clock) + HALF_AN_HOUR;
      const early = recorded(loop.time({ clock, at }));
      const late = recorded(loop.time({ clock, at: at + 2 * HALF_AN_HOUR }));
      await waiting();
      await withClockShifted(HOUR, () => soon(() => early.events.length > 0));
      const [event] = early.events;
      t.equal(event?.scheduled, at);
      t.ok((event?.now ?? 0) >= at);
      t.strictSame(late.events, []);
      late.unsubscribe();
    }),
  );
}

t.test(
  'one that repeats comes once for all the times that were skipped, and keeps to its grid',
  needsSettableClock,
  onLoop(async (t, loop) => {
    const every = 1000;
    const at = now('realtime') + every;
    const { events, unsubscribe } = recorded(loop.time({ clock: 'realtime', at, every }));
    await waiting();
    await withClockShifted(HOUR, async () => {
      await soon(() => events.length > 0);
      await waiting();
    });
    unsubscribe();
    t.equal(events[0]?.scheduled, at);
    // Several only if the machine stood still for seconds.
    t.ok(events.length < 10, `${events.length} times`);
    const periods = events.map(({ scheduled }) => (scheduled - at) / every);
    t.strictSame(periods, periods.map(Math.round));
  }),
);

t.test(
  'a timer whose time passes while the clock is set back comes when that time is there again, and only then',
  needsSettableClock,
  onLoop(async (t, loop) => {
    const at = now('realtime') + 10;
    const once = recorded(loop.time({ clock: 'realtime', at }));
    const repeated = recorded(loop.time({ clock: 'realtime', at, every: 5 }));
    let meanwhile = -1;
    await withClockShifted(-HOUR, async () => {
      await new Promise((resolve) => setTimeout(resolve, 15));
      await waiting();
      meanwhile = once.events.length + repeated.events.length;
    });
    t.equal(meanwhile, 0);
    await until(() => once.events.length === 1 && repeated.events.length > 2);
    t.ok([...once.events, ...repeated.events].every(({ scheduled, now }) => now >= scheduled && scheduled >= at));
    repeated.unsubscribe();
  }),
);

t.test(
  'a timer whose time has come and is ahead again when the loop looks comes at its time',
  needsSettableClock,
  onLoop(async (t, loop) => {
    const event = firstValueFrom(loop.time({ clock: 'realtime', after: 100 }));
    await waiting();
    await withClockShifted(HOUR, () => {
      // Time for the kernel to have its timer expire, but none for the loop to see it.
      const end = now() + 3;
      while (now() < end);
    });
    const { now: seen, scheduled } = await within(30_000, () => 'it was lost', event);
    t.ok(seen >= scheduled);
  }),
);

t.test(
  'a timer that is set after the clock was, and before the loop has noticed, comes at its time',
  needsSettableClock,
  onLoop(async (t, loop) => {
    const other = recorded(loop.time({ clock: 'realtime', after: HALF_AN_HOUR }));
    await waiting();
    await withClockShifted(HOUR, () => undefined);
    const event = await firstValueFrom(loop.time({ clock: 'realtime', after: 5 }));
    t.ok(event.now >= event.scheduled);
    t.strictSame(other.events, []);
    other.unsubscribe();
  }),
);

t.test(
  'the other clocks go on as if nothing had happened',
  needsSettableClock,
  onLoop(async (t, loop) => {
    const clocks: readonly Clock[] = ['monotonic', 'boottime'];
    for (const seconds of [HOUR, -HOUR]) {
      const far = clocks.map((clock) => recorded(loop.time({ clock, after: HALF_AN_HOUR })));
      const near = clocks.map((clock) => recorded(loop.time({ clock, after: 5 })));
      await waiting();
      await withClockShifted(seconds, async () => {
        await new Promise((resolve) => setTimeout(resolve, 10));
        await soon(() => near.every(({ events }) => events.length === 1));
        t.ok(near.every(({ events }) => events.length === 1));
      });
      for (const { events, unsubscribe } of far) {
        t.strictSame(events, []);
        unsubscribe();
      }
    }
  }),
);
