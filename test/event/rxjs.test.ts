import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { EPOLLIN, EPOLLOUT, EventFd, IN_CREATE, spawn } from '@sdrx/linux';
import {
  asyncScheduler,
  BehaviorSubject,
  bufferTime,
  catchError,
  concat,
  defer,
  EMPTY,
  EmptyError,
  exhaustMap,
  firstValueFrom,
  lastValueFrom,
  map,
  merge,
  mergeMap,
  NEVER,
  type Observable,
  observeOn,
  of,
  retry,
  Subject,
  shareReplay,
  take,
  tap,
  throwError,
  timeout,
  toArray,
} from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';
import { held } from './specimens.js';

/** The values of an Observable one after the other; who leaves the loop early unsubscribes. */
async function* valuesOf<T>(source: Observable<T>): AsyncGenerator<T> {
  const values: T[] = [];
  let wake = (): void => {};
  let ended = false;
  const subscription = source.subscribe({
    next: (value) => {
      values.push(value);
      wake();
    },
    complete: () => {
      ended = true;
      wake();
    },
  });
  try {
    while (!ended || values.length > 0) {
      if (values.length > 0) yield values.shift() as T;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  } finally {
    subscription.unsubscribe();
  }
}

t.test(
  'a late subscriber of a replayed source gets what has come, and the source ends with the last one',
  onLoop(async (t, loop) => {
    using event = new EventFd(3);
    const before = held();
    const counts = loop.io(event.fd).pipe(
      map(() => event.take()),
      shareReplay({ bufferSize: 1, refCount: true }),
    );
    const first = counts.subscribe();
    await until(() => loop.iteration > 0);
    t.equal(await firstValueFrom(counts), 3);
    first.unsubscribe();
    t.strictSame(held(), before);
  }),
);

t.test(
  'a source that fails is tried again, after a delay that is a source, too',
  onLoop(async (t, loop) => {
    using folder = new Folder();
    const path = folder.join('later');
    let failures = 0;
    const created = firstValueFrom(
      loop.inotify(path, { mask: IN_CREATE }).pipe(
        retry({
          delay: (error) => {
            t.match(error, { code: 'ENOENT' });
            failures++;
            return loop.time({ after: 1 });
          },
        }),
      ),
    );
    await until(() => failures >= 3);
    mkdirSync(path);
    const writer = loop.time({ every: 1 }).subscribe(({ scheduled }) => writeFileSync(`${path}/${scheduled}`, ''));
    t.equal((await created).mask, IN_CREATE);
    writer.unsubscribe();
  }),
);

t.test(
  'an error that retry or catchError handles does not end the loop; one that stays is given to the observer once',
  onLoop(async (t, loop) => {
    const errors: unknown[] = [];
    let attempts = 0;
    const failing = defer(() => {
      attempts++;
      return loop.io(-1, { exitOnFailure: 7 });
    });
    failing.pipe(retry(2)).subscribe({ error: (error) => errors.push(error) });
    t.equal(attempts, 3);
    t.match(errors, [{ code: 'EBADF' }]);
    const caught = loop.io(-1, { exitOnFailure: 7 }).pipe(catchError((error) => loop.defer().pipe(map(() => error))));
    t.match(await firstValueFrom(caught), { code: 'EBADF' });
  }),
);

t.test(
  'sources follow one another by concat, run beside one another by mergeMap, and wait by exhaustMap',
  onLoop(async (t, loop) => {
    const after = (milliseconds: number, value: string) => loop.time({ after: milliseconds }).pipe(map(() => value));
    t.strictSame(await lastValueFrom(concat(after(3, 'a'), after(1, 'b'), loop.defer()).pipe(toArray())), [
      'a',
      'b',
      undefined,
    ]);
    const all = of(1, 2, 3).pipe(mergeMap((value) => loop.defer({ priority: -value }).pipe(map(() => value))));
    t.strictSame(await lastValueFrom(all.pipe(toArray())), [3, 2, 1], 'by priority');
    let inner = 0;
    const slow = loop.defer({ repeat: true }).pipe(
      exhaustMap(() => {
        inner++;
        return loop.time({ after: 5 });
      }),
      take(3),
    );
    await lastValueFrom(slow);
    t.equal(inner, 3);
  }),
);

t.test(
  'a child that is killed after a timeout',
  onLoop(async (t, loop) => {
    using child = spawn('sleep', { args: ['1000'] });
    const exit = loop.child(child).pipe(
      timeout({
        first: 20,
        with: () => {
          child.kill('SIGKILL');
          return loop.child(child);
        },
      }),
    );
    t.match(await lastValueFrom(exit), { code: 'killed', status: 9 });
  }),
);

t.test(
  "the operators that work with Node's timers take and pass on all values",
  onLoop(async (t, loop) => {
    const ticks = loop.time({ every: 1 }).pipe(
      map((_, index) => index),
      take(20),
    );
    const numbers = Array.from({ length: 20 }, (_, index) => index);
    t.strictSame((await lastValueFrom(ticks.pipe(bufferTime(5), toArray()))).flat(), numbers);
    t.strictSame(await lastValueFrom(ticks.pipe(observeOn(asyncScheduler), toArray())), numbers);
  }),
);

t.test(
  'as a Promise, with forEach, and with for await',
  onLoop(async (t, loop) => {
    const before = held();
    const three = loop.defer({ repeat: true }).pipe(
      map((_, index) => index),
      take(3),
    );
    t.equal(await firstValueFrom(three), 0);
    t.equal(await lastValueFrom(three), 2);
    const seen: number[] = [];
    await three.forEach((value) => void seen.push(value));
    for await (const value of valuesOf(three)) seen.push(value);
    t.strictSame(seen, [0, 1, 2, 0, 1, 2]);
    for await (const _ of valuesOf(loop.defer({ repeat: true }))) break;
    const failure = new Error('failed');
    await t.rejects(
      loop.defer({ repeat: true, exitOnFailure: 7 }).forEach(() => {
        throw failure;
      }),
      failure,
    );
    await t.rejects(firstValueFrom(loop.io(-1)), { code: 'EBADF' });
    t.strictSame(held(), before);
    t.not(loop.state, 'exiting');
  }),
);

t.test(
  'when the loop finishes, what is waited for is told so',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const never = loop.time({ after: 1e6 });
    const waiting = Promise.allSettled([
      firstValueFrom(never),
      lastValueFrom(never, { defaultValue: 'none' }),
      never.forEach(() => {}),
    ]);
    loop.exit();
    await loop.run();
    const [first, last, each] = await waiting;
    t.ok(first.status === 'rejected' && first.reason instanceof EmptyError);
    t.match(last, { value: 'none' });
    t.equal(each.status, 'fulfilled');
  }),
);

t.test(
  'every form of observer is called for what it has',
  onLoop(async (t, loop) => {
    const trace: string[] = [];
    const note = (what: string) => (): void => {
      trace.push(what);
    };
    const source = loop.defer();
    source.subscribe();
    source.subscribe({});
    source.subscribe(null);
    source.subscribe({ next: note('next') });
    source.subscribe({ complete: note('complete') });
    source.subscribe(note('function'));
    source.subscribe(note('three: next'), note('three: error'), note('three: complete'));
    source.subscribe(null, null, note('only complete'));
    loop.io(-1).subscribe(note('no'), note('three: error'), note('no'));
    loop.io(-1).subscribe(null, note('only error'));
    loop.io(-1).subscribe({ error: note('error') });
    source.subscribe(new Subject<void>());
    await lastValueFrom(loop.defer({ priority: 1 }));
    t.strictSame(trace, [
      'three: error',
      'only error',
      'error',
      'next',
      'complete',
      'function',
      'three: next',
      'three: complete',
      'only complete',
    ]);
  }),
);

t.test(
  'a method of an observer is called as such',
  onLoop(async (t, loop) => {
    class Counter {
      count = 0;
      done = false;
      next(): void {
        this.count++;
      }
      complete(): void {
        this.done = true;
      }
    }
    const counter = new Counter();
    loop.defer().subscribe(counter);
    await lastValueFrom(loop.defer({ priority: 1 }));
    t.match(counter, { count: 1, done: true });
  }),
);

t.test(
  'with `exitOnFailure`, whatever of an observer fails ends the loop with a warning',
  leavingNothing(async (t) => {
    const failure = new Error('failed');
    const fail = (): never => {
      throw failure;
    };
    const options = { exitOnFailure: 7 };
    const programs: Readonly<Record<string, (loop: EventLoop) => unknown>> = {
      next: (loop) => loop.defer(options).subscribe(fail),
      operator: (loop) => loop.defer(options).pipe(tap(fail)).subscribe(),
      'an inner Observable': (loop) =>
        loop
          .defer(options)
          .pipe(mergeMap(() => throwError(fail)))
          .subscribe(),
      complete: (loop) => loop.defer(options).subscribe({ complete: fail }),
      'the third function': (loop) => loop.defer(options).subscribe(null, null, fail),
      error: (loop) => loop.defer(options).pipe(tap(fail)).subscribe({ error: fail }),
      'after a turn of Node': (loop) => loop.defer(options).pipe(observeOn(asyncScheduler)).subscribe(fail),
      'an option': (loop) => loop.defer({ ...options, repeat: true, priority: throwError(fail) }).subscribe(),
    };
    for (const [where, program] of Object.entries(programs)) {
      using loop = new EventLoop();
      const warning = once(process, 'warning');
      program(loop);
      t.equal(await loop.run(), 7, where);
      t.strictSame(await warning, [failure], where);
    }
  }),
);

t.test(
  'an error in one observer of a shared source leaves the others',
  onLoop(async (t, loop) => {
    const shared = new Subject<void>();
    const errors: unknown[] = [];
    let others = 0;
    const source = loop.defer({ repeat: true });
    const feed = source.subscribe(shared);
    shared
      .pipe(
        tap(() => {
          throw new Error('failed');
        }),
      )
      .subscribe({ error: (error) => errors.push(error) });
    const other = shared.subscribe(() => others++);
    await until(() => others >= 3);
    t.equal(errors.length, 1);
    other.unsubscribe();
    feed.unsubscribe();
  }),
);

t.test(
  'options that are Observables may have a value at once; their completion does nothing',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    const trace: string[] = [];
    const subscriptions = [
      loop.io(event.fd, { events: of(EPOLLOUT), priority: of(2) }).subscribe(() => trace.push('io')),
      loop
        .defer({ priority: new BehaviorSubject(1), ratelimit: { interval: 1e6, burst: 1, leave: of(0) } })
        .subscribe(() => trace.push('defer')),
      loop
        .defer({ priority: EMPTY, repeat: true })
        .pipe(take(2))
        .subscribe(() => trace.push('first')),
    ];
    await until(() => trace.includes('io'));
    for (const subscription of subscriptions) subscription.unsubscribe();
    t.strictSame(trace.slice(0, 4), ['first', 'first', 'defer', 'io']);
  }),
);

t.test(
  'the error of an option ends its source, also at once, and without leaving anything',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    const before = held();
    const failure = new Error('failed');
    const failing = throwError(() => failure);
    for (const options of [
      { events: failing },
      { events: of(-1, EPOLLIN), priority: failing },
      { priority: of(1.5) },
      { ratelimit: { interval: 1, burst: 1, leave: failing } },
    ]) {
      const error = await lastValueFrom(loop.io(event.fd, options)).catch((error: unknown) => error);
      // The first error counts.
      if ('priority' in options) t.match(error, 'events' in options ? { code: 'EINVAL' } : { name: 'RangeError' });
      else t.equal(error, failure);
    }
    t.strictSame(held(), before);
  }),
);

t.test(
  'the subscription to an option ends with the source',
  onLoop(async (t, loop) => {
    using event = new EventFd();
    const [events, priority, leave] = [new Subject<number>(), new Subject<number>(), new Subject<void>()];
    const all = [events, priority, leave];
    const subscription = loop
      .io(event.fd, { events, priority, ratelimit: { interval: 1, burst: 1, leave } })
      .subscribe();
    t.ok(all.every(({ observed }) => observed));
    subscription.unsubscribe();
    t.notOk(all.some(({ observed }) => observed));
    t.throws(() => loop.io(event.fd, { ratelimit: { interval: 0, burst: 1, leave } }), { name: 'RangeError' });
    loop.io(-1, { events, priority }).subscribe({ error() {} });
    t.notOk(
      all.some(({ observed }) => observed),
      'nor does one that could not begin',
    );
  }),
);

t.test(
  'all that is merged ends together',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    const before = held();
    const sources = [loop.io(event.fd), loop.io(event.fd), loop.time({ every: 1 }), loop.post(), loop.exiting(), NEVER];
    let values = 0;
    const subscription = merge(...sources).subscribe(() => values++);
    await until(() => values >= 5);
    subscription.unsubscribe();
    t.equal(held().fds - before.fds, 1, 'all but the timerfd, which the loop keeps');
  }),
);
