import { EventLoop } from '@sdrx/event';
import fc from 'fast-check';
import type { Subscription } from 'rxjs';
import t from 'tap';

/** What a handler does when its turn comes. */
interface Step {
  readonly priority: number;
  /** Sources that it adds, by priority. */
  readonly adds: readonly number[];
  /** Which of the sources so far it removes, counted round and round. */
  readonly removes: readonly number[];
}

/** What the order of dispatch should be: a list that is sorted anew for every step. */
function model(steps: readonly Step[], limit: number): number[] {
  const pending = steps.map(({ priority }, id) => ({ priority, id }));
  const order: number[] = [];
  let count = steps.length;
  while (pending.length > 0 && order.length < limit) {
    const [next] = [...pending].sort((a, b) => a.priority - b.priority);
    if (next === undefined) break;
    pending.splice(pending.indexOf(next), 1);
    order.push(next.id);
    const step = steps[next.id];
    for (const removed of step?.removes ?? []) {
      const index = pending.findIndex(({ id }) => id === removed % count);
      if (index >= 0) pending.splice(index, 1);
    }
    for (const priority of step?.adds ?? []) pending.push({ priority, id: count++ });
  }
  return order;
}

async function dispatched(steps: readonly Step[], limit: number): Promise<number[]> {
  using loop = new EventLoop();
  const order: number[] = [];
  const subscriptions: Subscription[] = [];
  const add = (priority: number): void => {
    const id = subscriptions.length;
    subscriptions.push(
      loop.defer({ priority }).subscribe(() => {
        order.push(id);
        if (order.length === limit) loop.exit();
        for (const removed of steps[id]?.removes ?? []) subscriptions[removed % subscriptions.length]?.unsubscribe();
        for (const added of steps[id]?.adds ?? []) add(added);
      }),
    );
  };
  for (const { priority } of steps) add(priority);
  loop.defer({ priority: 1_000_000 }).subscribe(() => loop.exit());
  await loop.run();
  return order;
}

t.test('the order of dispatch is that of a list sorted by priority, whatever handlers add and remove', async (t) => {
  const priority = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.integer({ min: -1000, max: 1000 }));
  const step = fc.record({
    priority,
    adds: fc.array(priority, { maxLength: 3 }),
    removes: fc.array(fc.nat(100), { maxLength: 2 }),
  });
  const property = fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
    const limit = 150;
    // An identity of its own is what a source removes of itself: it has had its turn, so nothing.
    t.strictSame(await dispatched(steps, limit), model(steps, limit));
  });
  await fc.assert(property, { numRuns: 300 });
});
