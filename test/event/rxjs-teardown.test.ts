import { createRequire } from 'node:module';
import { EventLoop } from '@sdrx/event';
import { EventFd } from '@sdrx/linux';
import { finalize, firstValueFrom, map, type Observable, of, publish, refCount, take, tap } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { iterations, onLoop } from './on-loop.js';
import { held, provokeUntil, specimens } from './specimens.js';

for (const [kind, make] of Object.entries(specimens)) {
  t.test(
    `${kind}: is out of the loop when what finalize was given runs`,
    onLoop(async (t, loop) => {
      using specimen = make();
      specimen.source(loop).subscribe().unsubscribe();
      const before = held();
      for (const source of [specimen.source(loop), specimen.source(loop).pipe(map(String))]) {
        let atEnd: unknown;
        const finalized = source.pipe(finalize(() => (atEnd = held())));
        finalized.subscribe().unsubscribe();
        t.strictSame(atEnd, before);
      }
    }),
  );

  t.test(
    `${kind}: is removed although a teardown throws, which the one who unsubscribes hears of`,
    onLoop(async (t, loop) => {
      using specimen = make();
      specimen.source(loop).subscribe().unsubscribe();
      const before = held();
      const subscription = specimen.source(loop).subscribe(() => t.fail('came'));
      subscription.add(() => {
        throw new Error('teardown');
      });
      t.throws(() => subscription.unsubscribe(), { name: 'UnsubscriptionError' });
      t.strictSame(held(), before);
      let values = 0;
      const witness = specimen.source(loop).subscribe(() => values++);
      await provokeUntil(loop, specimen, () => values >= 3);
      witness.unsubscribe();
    }),
  );
}

t.test(
  'an error in next ends the loop also when a teardown throws, too',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    loop
      .defer({ exitOnFailure: 7 })
      .subscribe(() => {
        throw new Error('next');
      })
      .add(() => {
        throw new Error('teardown');
      });
    t.equal(await loop.run(), 7);
  }),
);

t.test(
  'a teardown that throws does not keep the loop from its end',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let others = 0;
    loop.time({ after: 1e6 }).subscribe({ complete: () => others++ });
    loop
      .time({ after: 1e6, exitOnFailure: 3 })
      .pipe(
        finalize(() => {
          throw new Error('finalize');
        }),
      )
      .subscribe();
    loop.time({ after: 1e6 }).subscribe({ complete: () => others++ });
    loop.exit(3);
    t.equal(await loop.run(), 3);
    t.equal(others, 2);
  }),
);

t.test(
  'a source that was published ends with its last subscriber, and keeps its promise about errors',
  leavingNothing(async (t) => {
    const fail = (): never => {
      throw new Error('next');
    };
    for (const publishing of [
      (source: Observable<void>) => source.pipe(publish(), refCount()),
      (source: Observable<void>) =>
        source.pipe(
          map(() => {}),
          publish(),
          refCount(),
        ),
    ]) {
      using loop = new EventLoop();
      publishing(loop.defer({ repeat: true, exitOnFailure: 7 })).subscribe(fail);
      t.equal(await loop.run(), 7);
    }
  }),
);

t.test(
  'the operators of another copy of RxJS end a source, too',
  onLoop(async (t, loop) => {
    const require = createRequire(import.meta.url);
    const ours = Object.entries(require.cache).filter(([path]) => path.includes('/rxjs/'));
    for (const [path] of ours) delete require.cache[path];
    const theirs: typeof import('rxjs') = require('rxjs');
    for (const [path, module] of ours) require.cache[path] = module;
    t.not(theirs.take, take);
    using event = new EventFd(1);
    const before = held();
    let values = 0;
    loop
      .io(event.fd)
      .pipe(theirs.take(1))
      .subscribe(() => values++);
    await iterations(loop, event.fd, 5);
    t.equal(values, 1);
    t.strictSame(held(), before);
  }),
);

t.test(
  'one that its rate limit holds back comes again although another one of the same fd has come and gone',
  onLoop(async (t, loop) => {
    using event = new EventFd(1);
    let expirations = 0;
    let values = 0;
    const ratelimit = { interval: 20, burst: 1, onExpire: () => expirations++ };
    const limited = loop.io(event.fd, { ratelimit }).subscribe(() => values++);
    await until(() => loop.iteration >= 2);
    loop.io(event.fd).subscribe().unsubscribe();
    await until(() => expirations >= 2);
    limited.unsubscribe();
    t.ok(values >= 2);
  }),
);

t.test(
  'a timer comes although nothing was left to do when a rate limit ended',
  onLoop(async (t, loop) => {
    const ratelimit = { interval: 5, burst: 1, onExpire: () => subscription.unsubscribe() };
    const subscription = loop.defer({ repeat: true, ratelimit }).subscribe();
    const { scheduled, now } = await firstValueFrom(loop.time({ after: 30 }));
    t.ok(subscription.closed);
    t.ok(now >= scheduled);
  }),
);

t.test(
  'the loop may be disposed of by an Observable that is an option, while the source is being added',
  leavingNothing(async (t) => {
    using event = new EventFd(1);
    for (const name of ['events', 'priority'] as const) {
      using loop = new EventLoop();
      const disposing = of(1).pipe(tap(() => loop[Symbol.dispose]()));
      const ends: string[] = [];
      loop.io(event.fd, { [name]: disposing }).subscribe({
        next: () => t.fail('came'),
        error: () => ends.push('error'),
        complete: () => ends.push('complete'),
      });
      t.strictSame(ends, ['complete'], name);
    }
  }),
);
