import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { firstValueFrom, type Observable, Subject, Subscription } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { within } from '../support/within.js';
import { iterations, onLoop } from './on-loop.js';

t.test(
  'is called once before each dispatch, whatever is dispatched, and before it',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.time({ after: 3_600_000, prepare: () => trace.push('prepare') }).subscribe();
    for (const name of ['a', 'b', 'c']) loop.defer().subscribe(() => trace.push(name));
    loop.defer({ priority: 1 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['prepare', 'a', 'prepare', 'b', 'prepare', 'c', 'prepare']);
  }),
);

t.test(
  'is called once before the loop waits, and not again until it has dispatched',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    let prepared = 0;
    let came = 0;
    const subscription = loop.io(event.fd, { prepare: () => prepared++ }).subscribe(() => {
      event.take();
      came++;
    });
    await until(() => prepared === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.strictSame([prepared, came], [1, 0]);
    event.add();
    await until(() => prepared === 2);
    await new Promise((resolve) => setTimeout(resolve, 20));
    t.strictSame([prepared, came], [2, 1]);
    subscription.unsubscribe();
  }),
);

t.test(
  'those of several sources come by priority, among equals by subscription, and in the state `preparing`',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const add = (priority: number, name: string) =>
      loop.time({ after: 3_600_000, priority, prepare: () => trace.push(`${name} ${loop.state}`) }).subscribe();
    add(5, 'late');
    add(0, 'first');
    add(-5, 'early');
    add(0, 'second');
    loop.defer().subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(
      trace,
      ['early', 'first', 'second', 'late'].map((name) => `${name} preparing`),
    );
  }),
);

t.test(
  'an iteration has the same number in its prepare and in its handler, each dispatch its own',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const prepared: number[] = [];
    const handled: number[] = [];
    const subscription = loop.defer({ repeat: true, prepare: () => prepared.push(loop.iteration) }).subscribe(() => {
      handled.push(loop.iteration);
      if (handled.length < 200) return;
      subscription.unsubscribe();
      loop.exit();
    });
    await loop.run();
    t.strictSame(
      handled,
      handled.map((_, index) => index + 1),
    );
    t.strictSame(prepared, handled);
  }),
);

t.test(
  'a source that is subscribed to in it takes part in the same iteration, its own prepare included',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const note = (text: string): void => {
      trace.push(`${loop.iteration} ${text}`);
    };
    let first = true;
    const prepare = (): void => {
      note('prepare');
      if (!first) return;
      first = false;
      loop.defer({ priority: -1, prepare: () => note('added prepare') }).subscribe(() => note('added'));
      loop.time({ at: 0, priority: -2 }).subscribe(() => note('due timer'));
    };
    loop.defer({ prepare }).subscribe(() => {
      note('came');
      loop.exit();
    });
    await loop.run();
    t.strictSame(trace, [
      '1 prepare',
      '1 added prepare',
      '1 due timer',
      '2 added prepare',
      '2 prepare',
      '2 added',
      '3 prepare',
      '3 came',
    ]);
  }),
);

t.test(
  'a source that is unsubscribed from in it is neither prepared nor dispatched any more',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using ready = new EventFd(1);
    const doomed = new Subscription();
    loop.defer({ priority: 1, prepare: () => doomed.unsubscribe() }).subscribe(() => loop.exit());
    const fail = (): void => {
      t.fail('it was unsubscribed from');
    };
    doomed.add(loop.defer({ priority: 2, prepare: fail }).subscribe(fail));
    doomed.add(loop.io(ready.fd).subscribe(fail));
    doomed.add(loop.time({ at: 0 }).subscribe(fail));
    await loop.run();
    t.ok(doomed.closed);
  }),
);

t.test(
  'a source that unsubscribes itself in its own is gone',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    let prepared = 0;
    const subscription: Subscription = loop
      .defer({
        prepare: () => {
          prepared++;
          subscription.unsubscribe();
        },
      })
      .subscribe(() => t.fail('it was unsubscribed from'));
    await iterations(loop, ready.fd, 5);
    t.equal(prepared, 1);
  }),
);

t.test(
  'an fd that is made ready in it is dispatched in the same iteration, by its priority',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = new EventFd();
    const trace: string[] = [];
    let first = true;
    const prepare = (): void => {
      if (first) event.add();
      first = false;
    };
    loop.defer({ prepare }).subscribe(() => {
      trace.push(`${loop.iteration} defer`);
      loop.exit();
    });
    loop.io(event.fd, { priority: -1 }).subscribe(() => {
      event.take();
      trace.push(`${loop.iteration} io`);
    });
    await loop.run();
    t.strictSame(trace, ['1 io', '2 defer']);
  }),
);

t.test(
  'an fd of the same priority that is made ready in it comes after what was pending before',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = new EventFd();
    const trace: string[] = [];
    const prepare = (): void => {
      if (loop.iteration === 1) event.add();
    };
    loop.io(event.fd, { prepare }).subscribe(() => {
      trace.push('io');
      loop.exit();
    });
    for (const name of ['a', 'b']) loop.defer().subscribe(() => trace.push(name));
    await loop.run();
    t.strictSame(trace, ['a', 'b', 'io']);
  }),
);

t.test(
  'to exit in it leaves the others their turn of it, and nothing is dispatched',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    const prepare = (): void => {
      trace.push('exit');
      loop.exit(9);
    };
    loop.defer({ prepare }).subscribe(() => t.fail('the loop exits'));
    loop.exiting().subscribe(() => trace.push('exiting'));
    t.equal(await loop.run(), 9);
    t.strictSame(trace, ['exit', 'exiting']);
  }),
);

t.test(
  'to dispose of the loop in it ends everything at once',
  leavingNothing(async (t) => {
    const loop = new EventLoop();
    let prepared = 0;
    const prepare = (): void => {
      prepared++;
      loop[Symbol.dispose]();
    };
    loop.defer({ prepare }).subscribe(() => t.fail('the loop is gone'));
    loop.defer({ prepare }).subscribe(() => t.fail('the loop is gone'));
    loop.exiting().subscribe(() => t.fail('the loop is gone'));
    t.equal(await loop.run(), 0);
    t.equal(prepared, 1);
  }),
);

t.test(
  'an error in it ends its source with it, and leaves the others',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const failure = new Error('not prepared');
    let prepared = 0;
    const error = new Promise((resolve) => {
      const prepare = (): void => {
        prepared++;
        throw failure;
      };
      loop.defer({ prepare }).subscribe({ next: () => t.fail('it ended'), error: resolve });
    });
    t.equal(await error, failure);
    await iterations(loop, ready.fd, 5);
    t.equal(prepared, 1);
  }),
);

t.test(
  'with `exitOnFailure` an error in it that nobody handles ends the loop',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const prepare = (): void => {
      throw new Error('not prepared');
    };
    loop.time({ after: 3_600_000, prepare, exitOnFailure: 8 }).subscribe();
    t.equal(await loop.run(), 8);
  }),
);

t.test(
  'is not called while the rate limit holds the source back, and again afterwards',
  onLoop(async (t, loop) => {
    using ready = new EventFd(1);
    const leave = new Subject<void>();
    let prepared = 0;
    const ratelimit = { interval: 3_600_000, burst: 3, leave };
    const subscription = loop.defer({ repeat: true, ratelimit, prepare: () => prepared++ }).subscribe();
    await iterations(loop, ready.fd, 10);
    const held = prepared;
    await iterations(loop, ready.fd, 10);
    t.equal(prepared, held);
    leave.next();
    await until(() => prepared > held);
    subscription.unsubscribe();
  }),
);

t.test(
  'is called for a source that is subscribed to while the loop sleeps, before it goes on sleeping',
  onLoop(async (t, loop) => {
    let other = 0;
    const first = loop.time({ after: 3_600_000, prepare: () => other++ }).subscribe();
    await until(() => other === 1);
    let prepared = 0;
    const second = loop.time({ after: 3_600_000, prepare: () => prepared++ }).subscribe();
    await until(() => prepared > 0);
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(prepared, 1);
    first.unsubscribe();
    second.unsubscribe();
  }),
);

t.test(
  'a timer that is set in it wakes the loop although nothing is pending',
  onLoop(async (t, loop) => {
    let armed = false;
    const came = new Promise<void>((resolve) => {
      const prepare = (): void => {
        if (armed) return;
        armed = true;
        loop.time({ after: 5 }).subscribe(() => resolve());
      };
      loop.time({ after: 3_600_000, prepare }).subscribe();
    });
    await within(30_000, () => 'the timer was not armed', came);
    t.ok(armed);
  }),
);

t.test(
  'is called for sources of every kind, and not while the loop exits',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = new EventFd();
    const prepared = new Set<string>();
    const late: string[] = [];
    const options = (name: string) => ({
      prepare: () => {
        prepared.add(name);
        if (loop.state !== 'preparing') late.push(name);
      },
    });
    const subscriptions = [
      loop.io(event.fd, options('io')),
      loop.time({ after: 3_600_000, ...options('time') }),
      loop.signal('SIGUSR2', options('signal')),
      loop.inotify('/', options('inotify')),
      loop.defer({ repeat: true, ...options('defer') }),
      loop.post(options('post')),
      loop.exiting(options('exiting')),
    ].map((source: Observable<unknown>) => source.subscribe());
    loop.exiting().subscribe();
    const finished = loop.run();
    await until(() => prepared.size === subscriptions.length);
    loop.exit();
    await finished;
    t.strictSame(late, []);
  }),
);

t.test(
  'a promise that it settles is heard before the loop sleeps for good',
  onLoop(async (t, loop) => {
    const trace: string[] = [];
    const prepared = new Promise<void>((resolve) => {
      loop.time({ after: 3_600_000, prepare: () => resolve() }).subscribe();
    });
    await prepared;
    trace.push('prepared');
    await firstValueFrom(loop.defer());
    t.strictSame(trace, ['prepared']);
  }),
);
