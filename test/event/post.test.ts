import { EventLoop } from '@sdrx/event';
import { eventfd, read } from '@sdrx/linux';
import { take } from 'rxjs';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { iterations, onLoop, signalEvent } from './on-loop.js';

t.test(
  'comes after a source of another kind, once for each',
  onLoop(async (t, loop) => {
    using event = eventfd();
    const trace: string[] = [];
    const post = loop.post().subscribe(() => trace.push('post'));
    const io = loop.io(event.number).subscribe(() => {
      read(event.number, Buffer.alloc(8));
      trace.push('io');
    });
    for (const expected of [1, 2, 3]) {
      signalEvent(event.number);
      await until(() => trace.length >= 2 * expected);
    }
    t.strictSame(trace, ['io', 'post', 'io', 'post', 'io', 'post']);
    post.unsubscribe();
    io.unsubscribe();
  }),
);

t.test(
  'does not come when nothing else did, nor after itself or another of its kind',
  onLoop(async (t, loop) => {
    const counts = [0, 0];
    const posts = counts.map((_, index) =>
      loop.post().subscribe(() => counts.splice(index, 1, (counts[index] ?? 0) + 1)),
    );
    const waited = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));
    await waited(20);
    t.strictSame(counts, [0, 0]);
    loop.defer().subscribe();
    await until(() => counts.every((count) => count > 0));
    await waited(20);
    t.strictSame(counts, [1, 1]);
    for (const post of posts) post.unsubscribe();
  }),
);

t.test(
  'one of a late priority comes once for all that ran before',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.post({ priority: 5 }).subscribe(() => trace.push('late post'));
    loop.post({ priority: -5 }).subscribe(() => trace.push('early post'));
    for (const name of ['a', 'b', 'c']) loop.defer().subscribe(() => trace.push(name));
    loop.defer({ priority: 9 }).subscribe(() => loop.exit());
    await loop.run();
    t.strictSame(trace, ['a', 'early post', 'b', 'early post', 'c', 'early post', 'late post']);
  }),
);

t.test(
  'comes before what the handler that it follows has made pending',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const trace: string[] = [];
    loop.post().subscribe(() => trace.push('post'));
    loop.defer().subscribe(() => {
      trace.push('first');
      loop.defer().subscribe(() => {
        trace.push('second');
        loop.exit();
      });
    });
    await loop.run();
    t.strictSame(trace, ['first', 'post', 'second']);
  }),
);

t.test(
  'does not come after it was unsubscribed from',
  onLoop(async (t, loop) => {
    using ready = eventfd(1);
    let events = 0;
    const post = loop.post().subscribe(() => {
      events++;
      post.unsubscribe();
    });
    let taken = 0;
    loop
      .post()
      .pipe(take(3))
      .subscribe(() => taken++);
    await iterations(loop, ready.number, 10);
    t.equal(events, 1);
    t.equal(taken, 3);
  }),
);
