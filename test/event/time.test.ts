import { EventLoop, type TimeEvent, type TimeOptions } from '@sdrx/event';
import { type Clock, eventfd, now } from '@sdrx/linux';
import { firstValueFrom, lastValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { sleeps } from '../support/sleeps.js';
import { until } from '../support/until.js';
import { iterations, onLoop } from './on-loop.js';

const CLOCKS = ['monotonic', 'realtime', 'boottime'] as const;

/** Keeps the thread busy until a clock shows `time`. */
function blockUntil(time: number, clock: Clock = 'monotonic'): void {
  while (now(clock) < time);
}

for (const clock of CLOCKS) {
  t.test(
    `comes once after a while on the ${clock} clock, and completes`,
    onLoop(async (t, loop) => {
      const start = loop.now(clock);
      const events = lastValueFrom(loop.time({ clock, after: 20 }).pipe(toArray()));
      const subscribed = loop.now(clock);
      const [event, ...more] = await events;
      t.strictSame(more, []);
      t.equal(event?.clock, clock);
      const { scheduled = 0, now: seen = 0 } = event ?? {};
      t.ok(scheduled >= start + 20 && scheduled <= subscribed + 20, `due after ${scheduled - start}`);
      t.ok(seen >= scheduled);
      t.ok(loop.now(clock) >= seen);
    }),
  );

  t.test(
    `comes at a time on the ${clock} clock`,
    onLoop(async (t, loop) => {
      const at = loop.now(clock) + 20.25;
      const event = await firstValueFrom(loop.time({ clock, at }));
      t.equal(event.scheduled, at);
      t.ok(event.now >= at);
    }),
  );
}

t.test(
  'counts from the subscription, not from the call',
  onLoop(async (t, loop) => {
    const source = loop.time({ after: 10 });
    await firstValueFrom(loop.time({ after: 30 }));
    const start = loop.now();
    t.ok((await firstValueFrom(source)).scheduled >= start + 10);
  }),
);

t.test(
  'a time that has passed comes at once',
  onLoop(async (t, loop) => {
    for (const clock of CLOCKS) {
      t.equal((await firstValueFrom(loop.time({ clock, at: 0 }))).scheduled, 0);
      t.equal((await firstValueFrom(loop.time({ clock, at: 12.5 }))).scheduled, 12.5);
    }
    t.ok(await firstValueFrom(loop.time({ after: 0 })));
  }),
);

t.test(
  'is never early, on no clock',
  onLoop(async (t, loop) => {
    const early: TimeEvent[] = [];
    const waits = CLOCKS.flatMap((clock) =>
      Array.from({ length: 300 }, () =>
        lastValueFrom(loop.time({ clock, after: Math.random() * 100, accuracy: 0 })).then((event) => {
          if (event.now < event.scheduled || now(clock) < event.scheduled) early.push(event);
        }),
      ),
    );
    await Promise.all(waits);
    t.strictSame(early, []);
  }),
);

t.test(
  'comes again and again, first after one period',
  onLoop(async (t, loop) => {
    const start = loop.now();
    const events = await firstValueFrom(loop.time({ every: 5 }).pipe(take(5), toArray()));
    const [first] = events;
    t.ok((first?.scheduled ?? 0) >= start + 5);
    t.ok(events.every((event, index) => index === 0 || event.scheduled > (events[index - 1]?.scheduled ?? 0)));
  }),
);

t.test(
  '`after` and `at` say when the first of many comes',
  onLoop(async (t, loop) => {
    const at = loop.now() + 7;
    const [first, second] = await firstValueFrom(loop.time({ at, every: 1000 * 3600 }).pipe(take(1), toArray()));
    t.equal(first?.scheduled, at);
    t.equal(second, undefined);
    const start = loop.now();
    const early = await firstValueFrom(loop.time({ after: 0, every: 1000 * 3600 }));
    t.ok(early.scheduled >= start && early.scheduled < start + 3600);
  }),
);

t.test(
  'keeps to the grid of its periods without drift, on a clock whose numbers are large too',
  onLoop(async (t, loop) => {
    for (const clock of CLOCKS) {
      const at = loop.now(clock);
      // A tenth of a millisecond is no multiple of what a number can tell apart in today's realtime.
      const events = await firstValueFrom(
        loop.time({ clock, at, every: 0.1, accuracy: 0 }).pipe(take(1000), toArray()),
      );
      t.equal(events[0]?.scheduled, at);
      const periods = events.map(({ scheduled }) => (scheduled - at) / 0.1);
      const off = periods.filter((period) => Math.abs(period - Math.round(period)) > 0.01);
      t.strictSame(off, []);
    }
  }),
);

t.test(
  'leaves out the times that have passed when the observer is done',
  onLoop(async (t, loop) => {
    const every = 10;
    const at = loop.now();
    const [first, second] = await new Promise<[number, number]>((resolve) => {
      let done = 0;
      const subscription = loop.time({ at, every }).subscribe(({ scheduled }) => {
        if (done > 0) {
          subscription.unsubscribe();
          resolve([done, scheduled]);
          return;
        }
        blockUntil(scheduled + 3.5 * every);
        done = now();
      });
    });
    t.ok(second > first, 'the next lies ahead');
    t.ok(second >= at + 4 * every);
    t.equal(Math.round((second - at) / every), (second - at) / every, 'and on the grid');
  }),
);

t.test(
  'timers whose windows overlap wake the loop once',
  onLoop(async (t, loop) => {
    const at = loop.now() + 20;
    const wakes: number[] = [];
    const wait = (options: TimeOptions) =>
      lastValueFrom(loop.time(options)).then(
        () => undefined,
        (error) => t.fail(String(error)),
      );
    const timers = [0, 10, 20, 30, 40].map((offset) => {
      const timer = loop.time({ at: at + offset, accuracy: 50 });
      timer.subscribe((event) => wakes.push(event.now));
      return wait({ at: at + offset, accuracy: 50 });
    });
    await Promise.all(timers);
    t.equal(wakes.length, 5);
    t.equal(new Set(wakes).size, 1, `at one time: ${wakes}`);
  }),
);

t.test(
  'timers whose windows do not overlap wake the loop each at its time',
  onLoop(async (t, loop) => {
    const at = loop.now() + 20;
    // Far away: however late a busy machine is, it is not time for the second one yet.
    const timer = (offset: number) => loop.time({ at: at + offset, accuracy: 100 });
    let woken = 0;
    const far = timer(3_600_000).subscribe(() => woken++);
    const near = await firstValueFrom(timer(0));
    t.ok(near.now - near.scheduled < 1_800_000);
    t.equal(woken, 0);
    far.unsubscribe();
  }),
);

t.test(
  'a timer without company is not kept waiting for any',
  onLoop(async (t, loop) => {
    const event = await firstValueFrom(loop.time({ after: 1, accuracy: 3_600_000 }));
    t.ok(event.now - event.scheduled < 60_000);
  }),
);

t.test(
  'a loop that waits for a timer does not turn meanwhile, nor does Node',
  onLoop(async (t, loop) => {
    const late = loop.time({ after: 3_600_000 }).subscribe();
    const { iteration } = loop;
    await firstValueFrom(loop.time({ after: 300 }));
    t.ok(loop.iteration - iteration < 10, `${loop.iteration - iteration} iterations`);
    t.ok(await sleeps());
    late.unsubscribe();
  }),
);

t.test(
  'a timer that is set while the loop waits for a later one comes at its time',
  onLoop(async (t, loop) => {
    const later = loop.time({ after: 3_600_000 }).subscribe();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const event = await firstValueFrom(loop.time({ after: 5 }));
    t.ok(event.now - event.scheduled < 60_000);
    later.unsubscribe();
  }),
);

t.test(
  'a timer that was set beside an earlier one comes when that one was unsubscribed from',
  onLoop(async (t, loop) => {
    const first = loop.time({ after: 400 }).subscribe(() => t.fail('unsubscribed from'));
    const second = firstValueFrom(loop.time({ after: 420 }));
    // Outside of the loop's own turn, when it waits for the first.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    first.unsubscribe();
    t.ok(await second);
  }),
);

t.test(
  'does not come after it was unsubscribed from, also while pending or in its own handler',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using ready = eventfd(1);
    let own = 0;
    const repeated = loop.time({ after: 0, every: 0.01 }).subscribe(() => {
      own++;
      repeated.unsubscribe();
    });
    const pending = loop.time({ at: 0, priority: 2 }).subscribe(() => t.fail('it was pending'));
    loop.time({ at: 0, priority: 1 }).subscribe(() => pending.unsubscribe());
    const finished = loop.run();
    await until(() => own > 0);
    await iterations(loop, ready.number, 10);
    t.equal(own, 1);
    loop.exit();
    await finished;
  }),
);

t.test('what is no time is refused at once', (t) => {
  using loop = new EventLoop();
  const wrong: readonly [object, RegExp][] = [
    [{}, /one of `after`, `at` and `every`/],
    [{ clock: 'realtime', accuracy: 5 }, /one of `after`, `at` and `every`/],
    [{ after: 1, at: 1 }, /not both/],
    [{ after: -1 }, /`after` must be .* not -1/],
    [{ after: Number.NaN }, /`after` must be .* not NaN/],
    [{ after: Number.POSITIVE_INFINITY }, /`after` must be .* not Infinity/],
    [{ at: -0.5 }, /`at` must be .* not -0.5/],
    [{ every: 0 }, /`every` must be .* not 0/],
    [{ every: -3 }, /`every` must be .* not -3/],
    [{ every: Number.NaN }, /`every` must be .* not NaN/],
    [{ every: 1e-320 }, /`every` must be .* of 0.000001 or more/],
    [{ after: 1, accuracy: -1 }, /`accuracy` must be .* not -1/],
    [{ after: 1, accuracy: Number.POSITIVE_INFINITY }, /`accuracy` must be .* not Infinity/],
    [{ after: 1, priority: 0.5 }, /`priority` must be an integer, not 0.5/],
    [{ after: 1, exitOnFailure: 0.5 }, /`exitOnFailure` must be .* not 0.5/],
  ];
  for (const [options, message] of wrong)
    t.throws(() => loop.time(options as TimeOptions), { name: 'RangeError', message });
  t.end();
});

t.test(
  'the longest times that a number can tell are waited for',
  onLoop(async (t, loop) => {
    const ends = [{ after: Number.MAX_VALUE }, { at: Number.MAX_SAFE_INTEGER }, { every: 1e300 }].map((options) =>
      loop.time(options).subscribe({ next: () => t.fail('it came'), error: (error) => t.fail(String(error)) }),
    );
    await firstValueFrom(loop.time({ after: 20 }));
    for (const end of ends) end.unsubscribe();
    t.pass();
  }),
);
