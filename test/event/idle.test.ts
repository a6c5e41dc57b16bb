import { EventLoop, idle } from '@sdrx/event';
import { BehaviorSubject, of, Subject } from 'rxjs';
import t from 'tap';

/** Runs a loop until what is idle says so. @returns after how many milliseconds */
async function idleAfter(
  counts: Parameters<typeof idle>[1],
  options: Parameters<typeof idle>[2],
  meanwhile: (loop: EventLoop) => void = () => {},
): Promise<number> {
  using loop = new EventLoop();
  const begin = performance.now();
  meanwhile(loop);
  idle(loop, counts, options).subscribe({ complete: () => loop.exit(), error: () => loop.exit(1) });
  const code = await loop.run();
  if (code !== 0) throw new Error('it failed');
  return performance.now() - begin;
}

t.test('it comes when all counts have been 0 for the time', async (t) => {
  const [first, second] = [new BehaviorSubject(1), new BehaviorSubject(0)];
  const took = await idleAfter([first, second], { after: 100, minimumUptime: 0 }, (loop) => {
    loop.time({ after: 50 }).subscribe(() => first.next(0));
    // Short as it is, it begins the time anew.
    loop.time({ after: 100 }).subscribe(() => {
      second.next(1);
      second.next(0);
    });
  });
  t.ok(took >= 199, `${took} ms`);
});

t.test('it waits for those who have not told a number yet', async (t) => {
  const late = new Subject<number>();
  const took = await idleAfter([of(0), late], { after: 10, minimumUptime: 0 }, (loop) => {
    loop.time({ after: 100 }).subscribe(() => late.next(0));
  });
  t.ok(took >= 109, `${took} ms`);
});

t.test('not before the process has run for some time', async (t) => {
  const uptime = process.uptime() * 1000;
  const took = await idleAfter([of(0)], { after: 1, minimumUptime: uptime + 200 });
  t.ok(took >= 190, `${took} ms`);
});
