import { EventLoop } from '@sdrx/event';
import { eventfd, read } from '@sdrx/linux';
import { firstValueFrom, lastValueFrom, take, toArray } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { iterations, onLoop, signalEvent } from './on-loop.js';

t.test(
  'comes once, and completes',
  onLoop(async (t, loop) => {
    t.strictSame(await lastValueFrom(loop.defer().pipe(toArray())), [undefined]);
  }),
);

t.test(
  'does not come while the observer subscribes, but in its turn',
  onLoop(async (t, loop) => {
    let subscribed = false;
    await new Promise<void>((resolve) => {
      loop.defer().subscribe(() => {
        t.ok(subscribed);
        resolve();
      });
      subscribed = true;
    });
  }),
);

t.test(
  'does not come before the loop runs',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    let events = 0;
    loop.defer().subscribe(() => events++);
    await new Promise((resolve) => setTimeout(resolve, 10));
    t.equal(events, 0);
    const finished = loop.run();
    await firstValueFrom(loop.defer({ priority: 1 }));
    t.equal(events, 1);
    loop.exit();
    await finished;
  }),
);

t.test(
  'with `repeat` comes again and again',
  onLoop(async (t, loop) => {
    const events = await firstValueFrom(loop.defer({ repeat: true }).pipe(take(1000), toArray()));
    t.equal(events.length, 1000);
  }),
);

t.test(
  'does not come after it was unsubscribed from in its own handler',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    for (const repeat of [false, true]) {
      let events = 0;
      const subscription = loop.defer({ repeat }).subscribe(() => {
        events++;
        subscription.unsubscribe();
      });
      await iterations(loop, ready.number, 10);
      t.equal(events, 1);
    }
  }),
);

t.test(
  'may subscribe to itself again from its handler, for ever, and leaves the others their turn',
  onLoop(async (t, loop) => {
    using event = eventfd();
    let rounds = 0;
    let over = false;
    const again = (): void => {
      loop.defer().subscribe(() => {
        if (rounds++ === 200) signalEvent(event.number);
        if (!over) again();
      });
    };
    again();
    await firstValueFrom(loop.io(event.number));
    over = true;
    t.ok(rounds > 200);
  }),
);

t.test(
  'repeating ones of one priority take turns, and fds beside them',
  onLoop(async (t, loop) => {
    using event = eventfd();
    const turns: string[] = [];
    const sources = ['a', 'b', 'c'].map((name) => loop.defer({ repeat: true }).subscribe(() => turns.push(name)));
    const io = loop.io(event.number).subscribe(() => {
      read(event.number, Buffer.alloc(8));
      turns.push('io');
    });
    signalEvent(event.number);
    await firstValueFrom(loop.io(event.number).pipe(take(1)));
    for (const subscription of [...sources, io]) subscription.unsubscribe();
    t.ok(turns.includes('io'));
    const defers = turns.filter((name) => name !== 'io').join('');
    t.match(defers, /^(abc)*a?b?$/);
  }),
);
