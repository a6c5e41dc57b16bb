import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import fc from 'fast-check';
import { BehaviorSubject, firstValueFrom, NEVER, Observable, of, Subject, startWith, take, throwError } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

t.test(
  'the value that an Observable has at once is the priority from the start, 0 is until its first one',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.defer({ priority: of(3) }).subscribe(() => trace.push('3'));
    loop.defer({ priority: new BehaviorSubject(-3) }).subscribe(() => trace.push('-3'));
    loop.defer({ priority: NEVER }).subscribe(() => trace.push('0'));
    loop.defer({ priority: of(9, 8, 1) }).subscribe(() => trace.push('1'));
    loop.defer({ priority: -1 }).subscribe(() => trace.push('-1'));
    loop.defer({ priority: 2 }).subscribe(() => trace.push('2'));
    loop.defer({ priority: 10 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['-3', '-1', '0', '1', '2', '3']);
  }),
);

t.test(
  'a pending source stands in its new priority where it would stand if it had had it all along',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const priority = new Subject<number>();
    loop.defer({ priority: 5 }).subscribe(() => trace.push('before'));
    loop.defer({ priority }).subscribe(() => trace.push('changed'));
    loop.defer({ priority: 5 }).subscribe(() => trace.push('after'));
    loop.defer({ priority: -1 }).subscribe(() => {
      trace.push('changer');
      priority.next(7);
      priority.next(5);
    });
    loop.defer({ priority: 6 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['changer', 'before', 'changed', 'after']);
  }),
);

t.test(
  'of one that is not pending, the priority counts from the next time on',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    const priority = new Subject<number>();
    const trace: string[] = [];
    const io = loop.io(event.fd, { priority }).subscribe(() => {
      event.take();
      trace.push('io');
    });
    for (const value of [1, -1]) {
      priority.next(value);
      event.add();
      await new Promise<void>((resolve) => {
        loop.time({ at: 0 }).subscribe(() => trace.push('time'));
        loop.defer({ priority: 2 }).subscribe(() => resolve());
      });
    }
    t.strictSame(trace, ['time', 'io', 'io', 'time']);
    io.unsubscribe();
  }),
);

interface Step {
  /** The priority that the source begins with. */
  readonly priority: number;
  /** What its handler changes: which source (counted round and round), to what. */
  readonly changes: readonly (readonly [source: number, priority: number])[];
}

/** What the order of dispatch should be: a list that is sorted anew for every step, by priority and then by age. */
function model(steps: readonly Step[]): number[] {
  const pending = steps.map(({ priority }, id) => ({ priority, id }));
  const order: number[] = [];
  while (pending.length > 0) {
    pending.sort((a, b) => a.priority - b.priority || a.id - b.id);
    const next = pending.shift();
    if (next === undefined) break;
    order.push(next.id);
    for (const [source, priority] of steps[next.id]?.changes ?? []) {
      const changed = pending.find(({ id }) => id === source % steps.length);
      if (changed !== undefined) changed.priority = priority;
    }
  }
  return order;
}

async function dispatched(steps: readonly Step[]): Promise<number[]> {
  using loop = new EventLoop();
  const order: number[] = [];
  const priorities = steps.map(({ priority }) => new BehaviorSubject(priority));
  priorities.forEach((priority, id) => {
    loop.defer({ priority }).subscribe(() => {
      order.push(id);
      for (const [source, value] of steps[id]?.changes ?? []) priorities[source % steps.length]?.next(value);
    });
  });
  loop.defer({ priority: 1_000_000 }).subscribe(() => loop.exit());
  await loop.run();
  return order;
}

t.test('the order of dispatch is that of a list sorted by priority and age, whatever handlers change', async (t) => {
  const priority = fc.oneof(fc.integer({ min: -2, max: 2 }), fc.integer({ min: -1000, max: 1000 }));
  const changes = fc.array(fc.tuple(fc.nat(50), priority), { maxLength: 4 });
  const steps = fc.array(fc.record({ priority, changes }), { minLength: 1, maxLength: 50 });
  const property = fc.asyncProperty(steps, async (some) => {
    t.strictSame(await dispatched(some), model(some));
  });
  await fc.assert(property, { numRuns: 200 });
});

t.test(
  'an fd that is raised above what is pending is asked for before it, lowered again it waits',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = new EventFd();
    const priority = new Subject<number>();
    const trace: string[] = [];
    loop.io(event.fd, { priority }).subscribe(() => {
      event.take();
      trace.push('io');
    });
    const steps: Record<string, () => void> = {
      a: () => event.add(),
      // Nobody was asked yet: it is of the same priority as what is pending.
      b: () => priority.next(-1),
      c: () => {
        priority.next(1);
        event.add();
      },
      d: () => undefined,
    };
    for (const [name, step] of Object.entries(steps)) {
      loop.defer().subscribe(() => {
        trace.push(name);
        step();
      });
    }
    loop.defer({ priority: 2 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['a', 'b', 'io', 'c', 'd', 'io']);
  }),
);

t.test(
  'when the only source of a high priority is lowered, the loop no longer looks for it first',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using events = new EventFd();
    const priority = new BehaviorSubject(-5);
    const trace: string[] = [];
    loop.io(events.fd, { priority }).subscribe(() => {
      events.take();
      trace.push('io');
      loop.exit();
    });
    loop.time({ after: 3_600_000, priority: new BehaviorSubject(-4).pipe(startWith(-9)) }).subscribe();
    for (const name of ['a', 'b', 'c']) {
      loop.defer().subscribe(() => {
        trace.push(name);
        if (name === 'a') priority.next(3);
        events.add();
      });
    }
    await loop.run();
    t.strictSame(trace, ['a', 'b', 'c', 'io']);
  }),
);

t.test(
  'a handler may change the priority of its own source, which counts from the next time on',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const priority = new BehaviorSubject(0);
    const trace: string[] = [];
    const changing = loop.defer({ repeat: true, priority }).subscribe(() => {
      trace.push(`at ${priority.value}`);
      priority.next(priority.value + 1);
    });
    loop
      .defer({ repeat: true, priority: 2 })
      .pipe(take(2))
      .subscribe(() => trace.push('other'));
    loop.defer({ priority: 4 }).subscribe(() => {
      changing.unsubscribe();
      loop.exit();
    });
    await loop.run();
    t.strictSame(trace, ['at 0', 'at 1', 'other', 'at 2', 'other', 'at 3']);
  }),
);

t.test(
  'posts and exit sources are changed as others are',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const [post, exit] = [new BehaviorSubject(5), new BehaviorSubject(1)];
    const trace: string[] = [];
    loop.post({ priority: post }).subscribe(() => trace.push('post'));
    loop.exiting({ priority: exit }).subscribe(() => trace.push('exit changed'));
    loop.exiting({ priority: 2 }).subscribe(() => trace.push('exit 2'));
    loop.exiting({ priority: 0 }).subscribe(() => {
      trace.push('exit 0');
      exit.next(3);
    });
    loop.defer().subscribe(() => {
      trace.push('a');
      post.next(-1);
    });
    loop.defer().subscribe(() => {
      trace.push('b');
      post.next(9);
    });
    loop.defer({ priority: 10 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['a', 'post', 'b', 'post', 'exit 0', 'exit 2', 'exit changed']);
  }),
);

t.test(
  'a priority that is no integer ends the source with a RangeError, at once or later',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    for (const wrong of [Number.NaN, 1.5, Number.POSITIVE_INFINITY]) {
      const message = `\`priority\` must be an integer, not ${wrong}`;
      await t.rejects(firstValueFrom(loop.io(event.fd, { priority: of(wrong) })), { name: 'RangeError', message });
      const priority = new Subject<number>();
      const late = t.rejects(firstValueFrom(loop.io(event.fd, { priority })), { name: 'RangeError', message });
      priority.next(4);
      priority.next(wrong);
      await late;
      t.notOk(priority.observed);
    }
  }),
);

t.test(
  'the end by an error comes in the turn of the source, and instead of what was pending',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    const failure = new Error('no priority');
    const sources: readonly Observable<unknown>[] = [
      loop.defer({ priority: throwError(() => failure) }),
      loop.io(event.fd, { priority: throwError(() => failure) }),
      loop.time({ at: 0, priority: throwError(() => failure) }),
      loop.post({ priority: throwError(() => failure) }),
    ];
    for (const source of sources) await t.rejects(firstValueFrom(source), failure);
  }),
);

t.test(
  'the completion of the Observable does nothing',
  onLoop(async (t, loop) => {
    const priority = new Subject<number>();
    const trace: string[] = [];
    loop.defer({ priority }).subscribe(() => trace.push('lowered'));
    loop.defer({ priority: 1000 }).subscribe(() => trace.push('other'));
    priority.next(2000);
    priority.complete();
    await until(() => trace.length === 2);
    t.strictSame(trace, ['other', 'lowered'], 'it keeps the last priority');
  }),
);

t.test(
  'it is subscribed to once for each subscription, and unsubscribed from with it, however that ends',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    let subscribers = 0;
    let total = 0;
    const priority = new Observable<number>(() => {
      subscribers++;
      total++;
      return () => subscribers--;
    });
    const source = loop.defer({ priority });
    t.equal(total, 0, 'a source that nobody subscribed to does nothing');
    await firstValueFrom(source);
    t.strictSame([subscribers, total], [0, 1], 'completed');
    const subscription = loop.defer({ priority, repeat: true }).subscribe();
    t.equal(subscribers, 1);
    subscription.unsubscribe();
    t.equal(subscribers, 0, 'unsubscribed');
    await t.rejects(firstValueFrom(loop.io(-1, { priority })), { code: 'EBADF' });
    t.equal(subscribers, 0, 'failed');
    loop.time({ after: 3_600_000, priority }).subscribe();
    t.equal(subscribers, 1);
    loop.exit();
    await finished;
    t.equal(subscribers, 0, 'finished');
  }),
);

t.test(
  'a thousand sources change places and come in their new order',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const count = 1000;
    const order: number[] = [];
    const priorities = Array.from({ length: count }, (_, index) => new BehaviorSubject(index));
    priorities.forEach((priority, index) => {
      loop.defer({ priority }).subscribe(() => order.push(index));
    });
    for (const [index, priority] of priorities.entries()) priority.next(count - index);
    loop.defer({ priority: count + 1 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(
      order,
      priorities.map((_, index) => count - 1 - index),
    );
  }),
);
