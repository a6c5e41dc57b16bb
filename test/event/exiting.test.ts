import { EventLoop } from '@sdrx/event';
import fc from 'fast-check';
import { lastValueFrom, toArray } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

t.test(
  'comes once when the loop exits, and completes, before `run` resolves',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.exiting().subscribe({ next: () => trace.push(loop.state), complete: () => trace.push('complete') });
    loop.defer().subscribe(() => loop.exit(3));
    const code = await loop.run();
    t.strictSame([...trace, code, loop.state], ['exiting', 'complete', 3, 'finished']);
  }),
);

t.test(
  'does not come while the loop runs',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const values = lastValueFrom(loop.exiting().pipe(toArray()));
    let ran = false;
    loop.exiting({ priority: -10 }).subscribe(() => t.ok(ran));
    loop.time({ after: 20 }).subscribe(() => {
      ran = true;
      loop.exit();
    });
    await loop.run();
    t.strictSame(await values, [undefined]);
  }),
);

t.test('come by priority, among equals in the order in which they were subscribed to', async (t) => {
  const property = fc.asyncProperty(
    fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 20 }),
    async (priorities) => {
      using loop = new EventLoop();
      const order: number[] = [];
      priorities.forEach((priority, index) => {
        loop.exiting({ priority }).subscribe(() => order.push(index));
      });
      loop.exit();
      await loop.run();
      const expected = priorities
        .map((priority, index) => ({ priority, index }))
        .sort((a, b) => a.priority - b.priority);
      t.strictSame(
        order,
        expected.map(({ index }) => index),
      );
    },
  );
  await fc.assert(property);
});

t.test(
  'no other source comes any more once the exit has begun',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let late = 0;
    loop.defer().subscribe(() => loop.exit());
    loop.defer().subscribe(() => late++);
    loop.time({ at: 0, priority: 1 }).subscribe(() => late++);
    loop.post().subscribe(() => late++);
    loop.exiting().subscribe(() => {
      loop.defer({ priority: -1 }).subscribe(() => late++);
    });
    loop.exiting({ priority: 1 }).subscribe();
    await loop.run();
    t.equal(late, 0);
  }),
);

t.test(
  'one may remove another, and add a further one',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const doomed = loop.exiting({ priority: 1 }).subscribe(() => trace.push('doomed'));
    loop.exiting().subscribe(() => {
      trace.push('first');
      doomed.unsubscribe();
      loop.exiting({ priority: 2 }).subscribe(() => trace.push('added'));
    });
    loop.exiting({ priority: 3 }).subscribe(() => trace.push('last'));
    loop.exit();
    await loop.run();
    t.strictSame(trace, ['first', 'added', 'last']);
  }),
);

t.test(
  'the code that was given last counts',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    loop.exiting().subscribe(() => loop.exit(9));
    loop.defer().subscribe(() => {
      loop.exit(4);
      loop.exit(5);
    });
    t.equal(await loop.run(), 9);
  }),
);
