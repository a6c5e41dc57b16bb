import { writeFileSync } from 'node:fs';
import { EventLoop, type RateLimitOptions } from '@sdrx/event';
import { EPOLLIN, EventFd, IN_CREATE, sigqueue } from '@sdrx/linux';
import { firstValueFrom, type Observable, of, Subject, throwError } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { sleeps } from '../support/sleeps.js';
import { until } from '../support/until.js';
import { within } from '../support/within.js';
import { iterations, onLoop, Sockets } from './on-loop.js';

/** A window that ends in no test. */
const HOUR = 3_600_000;
const COMMAND = 'SIGRTMIN+18';

/** Counts what an Observable brings. */
function counted(source: Observable<unknown>): { count: number; unsubscribe(): void } {
  const counter = { count: 0, unsubscribe: () => subscription.unsubscribe() };
  const subscription = source.subscribe(() => counter.count++);
  return counter;
}

t.test(
  'no more than the burst comes within the interval, also of what is ready all the time',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const ratelimit = { interval: HOUR, burst: 3 };
    const counters = [
      counted(loop.defer({ repeat: true, ratelimit })),
      counted(loop.io(ready.fd, { ratelimit })),
      counted(loop.time({ every: 0.01, ratelimit })),
      counted(loop.post({ ratelimit })),
    ];
    await until(() => counters.every(({ count }) => count >= 3));
    await iterations(loop, ready.fd, 20);
    t.strictSame(
      counters.map(({ count }) => count),
      [3, 3, 3, 3],
    );
    for (const counter of counters) counter.unsubscribe();
  }),
);

t.test(
  'a window begins with the first dispatch after the previous one, and `onExpire` comes once for each that held back',
  onLoop(async (t, loop) => {
    const interval = 30;
    const burst = 4;
    const ends: number[] = [];
    const counts: number[] = [];
    let count = 0;
    const onExpire = (): void => {
      ends.push(loop.now());
      counts.push(count);
      count = 0;
    };
    const subscription = loop
      .defer({ repeat: true, ratelimit: { interval, burst, onExpire } })
      .subscribe(() => count++);
    await until(() => ends.length === 5);
    subscription.unsubscribe();
    // Each window began after the one before had expired.
    t.ok(ends.every((end, index) => index === 0 || end - (ends[index - 1] ?? end) >= interval, `${ends}`));
    // More only when the machine stood still for a window.
    t.ok(counts.every((each) => each >= burst));
  }),
);

t.test(
  'a window that was not exhausted ends without `onExpire`, and does not count for the next',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    let expired = 0;
    let count = 0;
    const ratelimit = { interval: 20, burst: 2, onExpire: () => expired++ };
    const subscription = loop.io(event.fd, { ratelimit }).subscribe(() => {
      event.take();
      count++;
    });
    for (const expected of [1, 2, 3, 4, 5]) {
      event.add();
      await until(() => count === expected);
      await firstValueFrom(loop.time({ after: 21 }));
    }
    t.equal(expired, 0);
    subscription.unsubscribe();
  }),
);

t.test(
  'exactly the burst is no reason to be held back',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    let expired = 0;
    const ratelimit = { interval: 10, burst: 1, onExpire: () => expired++ };
    const subscription = loop.io(event.fd, { ratelimit }).subscribe(() => event.take());
    event.add();
    await firstValueFrom(loop.time({ after: 30 }));
    t.equal(expired, 0);
    subscription.unsubscribe();
  }),
);

t.test(
  'after `onExpire` the source goes on at its place, and `onExpire` precedes it',
  onLoop(async (t, loop) => {
    const trace: string[] = [];
    const onExpire = (): void => {
      trace.push('expired');
    };
    const subscription = loop
      .defer({ repeat: true, ratelimit: { interval: 10, burst: 1, onExpire } })
      .subscribe(() => trace.push('came'));
    await until(() => trace.length >= 5);
    subscription.unsubscribe();
    t.strictSame(trace.slice(0, 2), ['came', 'expired']);
    // Two of them in a row only if the machine stood still between the two.
    t.notMatch(trace.join(), /expired,expired/);
  }),
);

t.test(
  'while it is held back, a level that stays is dispatched no more, and keeps nobody awake',
  onLoop(async (t, loop) => {
    using level = new EventFd(1);
    using sockets = new Sockets();
    sockets.theirs.close();
    const ratelimit = { interval: HOUR, burst: 2 };
    // Twice the same, of which the second has a descriptor of its own, and one that is hung up, which no mask hides.
    const sources = [level.fd, level.fd, sockets.ours].map((fd) => counted(loop.io(fd, { ratelimit })));
    const posts = counted(loop.post());
    await until(() => sources.every(({ count }) => count === 2));
    // The dispatches that are refused are yet to come.
    for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
    const { iteration } = loop;
    t.ok(await sleeps(), 'Node sleeps');
    t.equal(loop.iteration, iteration);
    t.strictSame(
      sources.map(({ count }) => count),
      [2, 2, 2],
    );
    t.ok(posts.count <= 6, 'posts do not follow what was held back');
    for (const source of [...sources, posts]) source.unsubscribe();
  }),
);

t.test(
  'an fd that was held back and is ready no more still brings what was pending',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    const leave = new Subject<void>();
    const masks: number[] = [];
    const subscription = loop
      .io(event.fd, { ratelimit: { interval: HOUR, burst: 1, leave } })
      .subscribe(({ revents }) => masks.push(revents));
    using ready = new EventFd(1);
    await iterations(loop, ready.fd, 10);
    t.strictSame(masks, [EPOLLIN]);
    event.take();
    leave.next();
    await until(() => masks.length === 2);
    await iterations(loop, ready.fd, 10);
    t.strictSame(masks, [EPOLLIN, EPOLLIN]);
    subscription.unsubscribe();
  }),
);

t.test(
  'signals that come meanwhile are kept, each with its value, and delivered later',
  onLoop(async (t, loop) => {
    const values: number[] = [];
    const ratelimit = { interval: 5, burst: 7 };
    const subscription = loop.signal(COMMAND, { ratelimit }).subscribe(({ value }) => values.push(value));
    const sent = Array.from({ length: 50 }, (_, value) => value);
    for (const value of sent) sigqueue(process.pid, COMMAND, value);
    await until(() => values.length === sent.length);
    t.strictSame(
      values.toSorted((a, b) => a - b),
      sent,
    );
    subscription.unsubscribe();
  }),
);

t.test(
  'so are the events of inotify, in their order',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const names: string[] = [];
    const ratelimit = { interval: 5, burst: 7 };
    const subscription = loop
      .inotify(folder.path, { mask: IN_CREATE, ratelimit })
      .subscribe(({ name }) => names.push(name));
    const created = Array.from({ length: 50 }, (_, index) => `${index}`);
    for (const name of created.slice(0, 20)) writeFileSync(folder.join(name), '');
    await until(() => names.length >= 7);
    for (const name of created.slice(20)) writeFileSync(folder.join(name), '');
    await until(() => names.length === created.length);
    t.strictSame(names, created);
    subscription.unsubscribe();
  }),
);

t.test(
  'a timer that repeats comes as often as its limit says, not late ones in addition',
  onLoop(async (t, loop) => {
    const times: number[] = [];
    let expired = 0;
    const ratelimit = { interval: 40, burst: 2, onExpire: () => expired++ };
    const subscription = loop.time({ every: 1, ratelimit }).subscribe(() => times.push(loop.now()));
    await until(() => expired === 4);
    subscription.unsubscribe();
    const [first = 0] = times;
    const last = times.at(-1) ?? 0;
    t.ok(times.length <= 2 * (Math.floor((last - first) / 40) + 1) + 2, `${times.length} in ${last - first} ms`);
  }),
);

t.test(
  '`leave` lets it go on at once, with a new window and without `onExpire`',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const leave = new Subject<string>();
    let expired = 0;
    const source = counted(
      loop.defer({ repeat: true, ratelimit: { interval: HOUR, burst: 5, leave, onExpire: () => expired++ } }),
    );
    for (const expected of [5, 10, 15]) {
      await until(() => source.count >= expected);
      await iterations(loop, ready.fd, 10);
      t.equal(source.count, expected);
      leave.next('now');
    }
    await until(() => source.count === 20);
    t.equal(expired, 0);
    source.unsubscribe();
    t.notOk(leave.observed, 'nobody listens any more');
  }),
);

t.test(
  '`leave` of a source that is not held back changes nothing, and its completion neither',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using event = new EventFd();
    const leave = new Subject<void>();
    const source = counted(loop.io(event.fd, { ratelimit: { interval: HOUR, burst: 3, leave } }));
    leave.next();
    event.add();
    await until(() => source.count === 3);
    await iterations(loop, ready.fd, 10);
    leave.complete();
    await iterations(loop, ready.fd, 10);
    t.equal(source.count, 3);
    source.unsubscribe();
  }),
);

t.test(
  'an error of `leave` ends the source with it, also while it is held back',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const failure = new Error('no way out');
    const errors: unknown[] = [];
    for (const early of [true, false]) {
      const leave = new Subject<void>();
      const ratelimit = { interval: HOUR, burst: 2, leave: early ? throwError(() => failure) : leave };
      let count = 0;
      loop.defer({ repeat: true, ratelimit }).subscribe({ next: () => count++, error: (error) => errors.push(error) });
      await iterations(loop, ready.fd, 10);
      t.equal(count, early ? 0 : 2);
      leave.error(failure);
      await iterations(loop, ready.fd, 10);
    }
    t.strictSame(errors, [failure, failure]);
  }),
);

t.test(
  'an error in `onExpire` ends the source with it, and no other',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const failure = new Error('expired badly');
    const onExpire = (): void => {
      throw failure;
    };
    let count = 0;
    const error = await new Promise((resolve) => {
      loop
        .defer({ repeat: true, ratelimit: { interval: 5, burst: 2, onExpire } })
        .subscribe({ next: () => count++, error: resolve });
    });
    t.equal(error, failure);
    // On a slow machine windows may have passed in which it had no time for both.
    const last = count;
    t.ok(last >= 2);
    await iterations(loop, ready.fd, 10);
    t.equal(count, last);
  }),
);

t.test(
  'to unsubscribe while it is held back frees everything, and nothing comes of it any more',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    using ready = new EventFd(1);
    let expired = 0;
    const ratelimit = { interval: 20, burst: 1, onExpire: () => expired++ };
    const sources = [
      loop.io(ready.fd, { ratelimit }),
      loop.io(ready.fd, { ratelimit }),
      loop.defer({ repeat: true, ratelimit }),
      loop.time({ every: 1, ratelimit }),
    ].map(counted);
    // On a slow machine windows may have passed by then.
    await until(() => sources.every(({ count }) => count >= 1));
    const before = new EventFd(1);
    await iterations(loop, before.fd, 5);
    for (const source of sources) source.unsubscribe();
    const told = expired;
    await firstValueFrom(loop.time({ after: 40 }));
    await iterations(loop, before.fd, 5);
    before[Symbol.dispose]();
    t.equal(expired, told);
    loop.exit();
    await finished;
  }),
);

t.test(
  '`onExpire` may unsubscribe the source, or end the loop',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    let count = 0;
    await new Promise<void>((resolve) => {
      const onExpire = (): void => {
        subscription.unsubscribe();
        resolve();
      };
      const subscription = loop
        .defer({ repeat: true, ratelimit: { interval: 5, burst: 3, onExpire } })
        .subscribe(() => count++);
    });
    const left = count;
    const onExpire = (): void => loop.exit(4);
    loop.defer({ repeat: true, ratelimit: { interval: 5, burst: 3, onExpire } }).subscribe();
    t.equal(await finished, 4);
    t.equal(count, left);
  }),
);

t.test(
  'what `onExpire` subscribes to comes, although nothing else is pending',
  onLoop(async (t, loop) => {
    let prepared = 0;
    const came = new Promise<void>((resolve) => {
      const onExpire = (): void => {
        subscription.unsubscribe();
        loop.time({ after: 5, prepare: () => prepared++ }).subscribe(() => resolve());
      };
      const subscription = loop.defer({ repeat: true, ratelimit: { interval: 5, burst: 1, onExpire } }).subscribe();
    });
    await within(30_000, () => 'the loop sleeps although a timer was set', came);
    t.ok(prepared > 0);
  }),
);

t.test(
  'exit sources are never held back',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const order: number[] = [];
    const ratelimit = { interval: HOUR, burst: 1 };
    for (const priority of [3, 1, 2]) loop.exiting({ priority, ratelimit }).subscribe(() => order.push(priority));
    loop.defer({ repeat: true, ratelimit }).subscribe();
    loop.time({ after: 5 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(order, [1, 2, 3]);
  }),
);

t.test(
  'several sources have each a limit of its own, also of one fd',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const sources = [1, 2, 5, 9].map((burst) => counted(loop.io(ready.fd, { ratelimit: { interval: HOUR, burst } })));
    await until(() => sources[3]?.count === 9);
    await iterations(loop, ready.fd, 10);
    t.strictSame(
      sources.map(({ count }) => count),
      [1, 2, 5, 9],
    );
    for (const source of sources) source.unsubscribe();
  }),
);

t.test(
  'a source that is held back comes back also when its fd was subscribed to once more meanwhile',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    using event = new EventFd(1);
    const leave = new Subject<void>();
    const limited = counted(loop.io(event.fd, { ratelimit: { interval: HOUR, burst: 2, leave } }));
    await until(() => limited.count === 2);
    await iterations(loop, ready.fd, 10);
    const other = counted(loop.io(event.fd, { priority: 1000 }));
    for (const expected of [4, 6]) {
      leave.next();
      await iterations(loop, ready.fd, 20);
      t.equal(limited.count, expected);
    }
    t.ok(other.count > 0);
    other.unsubscribe();
    leave.next();
    await iterations(loop, ready.fd, 20);
    t.equal(limited.count, 8);
    limited.unsubscribe();
  }),
);

t.test(
  'every subscription has a limit of its own',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const source = loop.defer({ repeat: true, ratelimit: { interval: HOUR, burst: 3 } });
    for (let round = 0; round < 3; round++) {
      const counter = counted(source);
      await iterations(loop, ready.fd, 10);
      t.equal(counter.count, 3);
      counter.unsubscribe();
    }
  }),
);

t.test(
  'a source that is held back may get another priority, which holds when it goes on',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const finished = loop.run();
    const leave = new Subject<void>();
    const priority = new Subject<number>();
    const trace: string[] = [];
    const limited = loop
      .defer({ repeat: true, priority, ratelimit: { interval: HOUR, burst: 1, leave } })
      .subscribe(() => trace.push('limited'));
    using ready = new EventFd(1);
    await iterations(loop, ready.fd, 10);
    t.strictSame(trace, ['limited']);
    priority.next(5);
    leave.next();
    loop.defer({ priority: 4 }).subscribe(() => trace.push('4'));
    loop.defer({ priority: 6 }).subscribe(() => trace.push('6'));
    await iterations(loop, ready.fd, 10);
    t.strictSame(trace, ['limited', '4', 'limited', '6']);
    limited.unsubscribe();
    loop.exit();
    await finished;
  }),
);

t.test('a limit that makes no sense is refused at once', (t) => {
  using loop = new EventLoop();
  const wrong: readonly [RateLimitOptions, RegExp][] = [
    [{ interval: 0, burst: 1 }, /interval.* not 0/],
    [{ interval: -1, burst: 1 }, /interval.* not -1/],
    [{ interval: Number.NaN, burst: 1 }, /interval.* not NaN/],
    [{ interval: Number.POSITIVE_INFINITY, burst: 1 }, /interval.* not Infinity/],
    [{ interval: 1, burst: 0 }, /burst.* not 0/],
    [{ interval: 1, burst: -1 }, /burst.* not -1/],
    [{ interval: 1, burst: 1.5 }, /burst.* not 1.5/],
    [{ interval: 1, burst: Number.NaN }, /burst.* not NaN/],
    [{ interval: 1, burst: Number.POSITIVE_INFINITY }, /burst.* not Infinity/],
  ];
  for (const [ratelimit, message] of wrong) {
    for (const source of [loop.defer, loop.post, loop.exiting, loop.memoryPressure]) {
      t.throws(() => source.call(loop, { ratelimit }), { name: 'RangeError', message });
    }
    t.throws(() => loop.time({ after: 1, ratelimit }), { name: 'RangeError', message });
    t.throws(() => loop.io(0, { ratelimit }), { name: 'RangeError', message });
  }
  t.ok(loop.defer({ ratelimit: { interval: 0.001, burst: 1, leave: of(1) } }));
  t.end();
});
