import { EventLoop } from '@sdrx/event';
import { eventfd, read } from '@sdrx/linux';
import { take } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { signalEvent } from './on-loop.js';

t.test(
  'what is ready at once comes by priority, whatever its kind and the order of subscription',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd(1);
    const trace: string[] = [];
    loop.time({ at: 0, priority: 3 }).subscribe(() => trace.push('time 3'));
    loop.defer({ priority: 4 }).subscribe(() => trace.push('defer 4'));
    loop
      .io(event.number, { priority: 2 })
      .pipe(take(1))
      .subscribe(() => trace.push('io 2'));
    loop.defer({ priority: -1 }).subscribe(() => trace.push('defer -1'));
    loop.time({ at: 0, priority: -2 }).subscribe(() => trace.push('time -2'));
    loop.defer({ priority: 2_147_483_647 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['time -2', 'defer -1', 'io 2', 'time 3', 'defer 4']);
  }),
);

t.test(
  'within a priority what became pending first comes first',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd();
    const trace: string[] = [];
    // The fd was subscribed to first, but becomes ready only by the handler of the first defer.
    loop
      .io(event.number)
      .pipe(take(1))
      .subscribe(() => {
        trace.push('io');
        loop.exit();
      });
    loop.defer().subscribe(() => {
      trace.push('a');
      signalEvent(event.number);
    });
    loop.defer().subscribe(() => trace.push('b'));
    await loop.run();
    t.strictSame(trace, ['a', 'b', 'io']);
  }),
);

t.test(
  'a handler that makes a source of a higher priority ready is followed by it, before what is pending already',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd();
    const trace: string[] = [];
    loop.io(event.number, { priority: -1 }).subscribe(() => {
      read(event.number, Buffer.alloc(8));
      trace.push('io');
    });
    for (const name of ['a', 'b', 'c']) {
      loop.defer().subscribe(() => {
        trace.push(name);
        if (name !== 'b') signalEvent(event.number);
      });
    }
    loop.defer({ priority: 1 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['a', 'io', 'b', 'c', 'io']);
  }),
);

t.test(
  'so is one that sets a timer of a higher priority which is due',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.defer().subscribe(() => {
      trace.push('a');
      loop.time({ at: 0, priority: -1 }).subscribe(() => trace.push('timer'));
      loop.defer({ priority: -2 }).subscribe(() => trace.push('defer'));
    });
    loop.defer().subscribe(() => {
      trace.push('b');
      loop.exit();
    });
    await loop.run();
    t.strictSame(trace, ['a', 'defer', 'timer', 'b']);
  }),
);

t.test(
  'the kernel is asked again for the highest priority that is left, too',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd();
    const trace: string[] = [];
    const others = [-3, -2].map((priority) => loop.time({ after: 3_600_000, priority }).subscribe());
    loop
      .io(event.number, { priority: -1 })
      .pipe(take(1))
      .subscribe(() => trace.push('io'));
    loop.defer().subscribe(() => {
      for (const other of others) other.unsubscribe();
      signalEvent(event.number);
    });
    loop.defer().subscribe(() => {
      trace.push('defer');
      loop.exit();
    });
    await loop.run();
    t.strictSame(trace, ['io', 'defer']);
  }),
);

t.test(
  'a source that the handler of another removes does not come, ready as it is; one that it adds does',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using event = eventfd(1);
    const trace: string[] = [];
    const doomed = [
      loop.io(event.number, { priority: 1 }).subscribe(() => trace.push('io')),
      loop.time({ at: 0, priority: 1 }).subscribe(() => trace.push('time')),
      loop.defer({ priority: 1 }).subscribe(() => trace.push('defer')),
      loop.defer().subscribe(() => trace.push('defer of the same priority')),
      loop.post({ priority: 1 }).subscribe(() => trace.push('post')),
    ];
    loop.time({ at: 0, priority: -1 }).subscribe(() => {
      trace.push('remover');
      for (const subscription of doomed) subscription.unsubscribe();
      loop
        .io(event.number, { priority: 2 })
        .pipe(take(1))
        .subscribe(() => trace.push('added io'));
      loop.defer({ priority: 1 }).subscribe(() => trace.push('added defer'));
    });
    loop.defer({ priority: 3 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['remover', 'added defer', 'added io']);
  }),
);

t.test(
  'lower priorities wait as long as a higher one is always ready',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let high = 0;
    let low = 0;
    loop.defer({ priority: 1 }).subscribe(() => low++);
    loop.defer({ repeat: true }).subscribe(() => {
      if (++high === 1000) loop.exit();
    });
    await loop.run();
    t.strictSame([high, low], [1000, 0]);
  }),
);
