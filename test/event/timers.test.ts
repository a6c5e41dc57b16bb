import { EventLoop } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import fc from 'fast-check';
import type { Unsubscribable } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

interface Wish {
  readonly at: number;
  readonly accuracy: number;
  readonly cancelled: boolean;
}

/** What of the wishes comes, and in which order: by time, among equal times by subscription. */
function expected(wishes: readonly Wish[]): number[] {
  return wishes
    .map(({ at, cancelled }, index) => ({ at, cancelled, index }))
    .filter(({ cancelled }) => !cancelled)
    .sort((a, b) => a.at - b.at || a.index - b.index)
    .map(({ index }) => index);
}

t.test(
  '10,000 timers in random order come each once, in the order of their times, also when a third is cancelled',
  onLoop(async (t, loop) => {
    const start = loop.now() + 50;
    const wishes = Array.from({ length: 10_000 }, () => ({
      // Whole numbers: many fall on the same time.
      at: start + Math.floor(Math.random() * 400),
      accuracy: Math.random() * 20,
      cancelled: Math.random() < 1 / 3,
    }));
    const order: number[] = [];
    const early: number[] = [];
    const subscriptions = wishes.map(({ at, accuracy }, index) =>
      loop.time({ at, accuracy }).subscribe((event) => {
        order.push(index);
        if (event.scheduled !== at || event.now < at || loop.now() < at) early.push(index);
      }),
    );
    wishes.forEach(({ cancelled }, index) => {
      if (cancelled) subscriptions[index]?.unsubscribe();
    });
    const model = expected(wishes);
    await until(() => order.length >= model.length);
    t.strictSame(early, []);
    t.strictSame(order, model);
  }),
);

t.test(
  'timers that are all due come in the order of their times, whichever were taken away before',
  leavingNothing(async (t) => {
    const wish = fc.record({ at: fc.nat(20), accuracy: fc.nat(5), cancelled: fc.boolean() });
    const property = fc.asyncProperty(fc.array(wish, { maxLength: 60 }), async (wishes) => {
      using loop = new EventLoop();
      const order: number[] = [];
      const subscriptions = wishes.map(({ at, accuracy }, index) =>
        loop.time({ at, accuracy }).subscribe(() => order.push(index)),
      );
      wishes.forEach(({ cancelled }, index) => {
        if (cancelled) subscriptions[index]?.unsubscribe();
      });
      loop.time({ at: 21 }).subscribe(() => loop.exit());
      await loop.run();
      t.strictSame(order, expected(wishes));
    });
    await fc.assert(property, { numRuns: 200 });
  }),
);

t.test(
  'timers may be set and taken away by the handlers of others',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const order: string[] = [];
    const doomed = loop.time({ at: 3 }).subscribe(() => order.push('doomed'));
    loop.time({ at: 1 }).subscribe(() => {
      order.push('first');
      doomed.unsubscribe();
      loop.time({ at: 0 }).subscribe(() => {
        order.push('added');
        loop.exit();
      });
    });
    loop.time({ at: 4 }).subscribe(() => order.push('last'));
    await loop.run();
    t.strictSame(order, ['first', 'last', 'added']);
  }),
);

type Deed =
  | { readonly set: { readonly after: number; readonly accuracy: number } }
  | { readonly cancel: number }
  | { readonly advance: number };

const deed: fc.Arbitrary<Deed> = fc.oneof(
  fc.record({ set: fc.record({ after: fc.nat(50), accuracy: fc.constantFrom(0, 1, 5, 20) }) }),
  fc.record({ cancel: fc.nat(30) }),
  fc.record({ advance: fc.nat(15) }),
);

t.test('whatever is set and cancelled meanwhile, each other one comes once, and no later than it may', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(deed, { maxLength: 60 }), async (deeds) => {
      using loop = new VirtualLoop();
      const finished = loop.run();
      const timers: {
        readonly at: number;
        readonly accuracy: number;
        ends?: number;
        came: number[];
        off: Unsubscribable;
      }[] = [];
      for (const one of deeds) {
        if ('advance' in one) await loop.advance(one.advance);
        else if ('cancel' in one) {
          const timer = timers[one.cancel];
          timer?.off.unsubscribe();
          if (timer !== undefined) timer.ends ??= loop.now();
        } else {
          const came: number[] = [];
          const off = loop.time(one.set).subscribe(({ now }) => came.push(now));
          timers.push({ at: loop.now() + one.set.after, accuracy: one.set.accuracy, came, off });
        }
      }
      await loop.advance(200);
      loop.exit();
      await loop.settle();
      await finished;
      for (const { at, accuracy, ends = Number.POSITIVE_INFINITY, came } of timers) {
        const [first, ...others] = came;
        t.strictSame(others, []);
        if (first === undefined) t.ok(ends <= at + accuracy, `one for ${at} did not come`);
        else t.ok(at <= first && first <= at + accuracy && first <= ends, `one for ${at} came at ${first}`);
      }
    }),
    { numRuns: 300 },
  );
});
