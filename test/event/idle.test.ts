import { EventLoop, idle, type Serving } from '@sdrx/event';
import { BehaviorSubject, firstValueFrom, of, Subject } from 'rxjs';
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

/** Serves nothing, and tells what it is told. */
class Pretence implements Serving {
  readonly count = new BehaviorSubject(0);
  waiting = false;
  readonly told: string[] = [];

  resume(): void {
    this.told.push('resume');
  }

  pause(): void {
    this.told.push('pause');
  }

  async drain(): Promise<void> {}
}

t.test('what serves is paused before it is looked at, and stays so', async (t) => {
  const [first, second] = [new Pretence(), new Pretence()];
  await idleAfter([first, of(0), second], { after: 1, minimumUptime: 0 });
  t.strictSame([first.told, second.told], [['pause'], ['pause']]);
});

t.test('where something waits all are resumed, and the time begins anew', async (t) => {
  const [first, second] = [new Pretence(), new Pretence()];
  second.waiting = true;
  const took = await idleAfter([first, second], { after: 50, minimumUptime: 0 }, (loop) => {
    loop.time({ after: 75 }).subscribe(() => (second.waiting = false));
  });
  t.strictSame([first.told, second.told], Array(2).fill(['pause', 'resume', 'pause']));
  t.ok(took >= 99, `${took} ms`);
});

t.test('a count that changes with a pause begins it anew, too', async (t) => {
  const [first, second] = [new Pretence(), new Pretence()];
  let pauses = 0;
  second.pause = () => {
    second.told.push('pause');
    if (pauses++ === 0) first.count.next(1);
  };
  const took = await idleAfter([first, second], { after: 10, minimumUptime: 0 }, (loop) => {
    loop.time({ after: 75 }).subscribe(() => first.count.next(0));
  });
  t.strictSame([first.told, second.told], Array(2).fill(['pause', 'resume', 'pause']));
  t.ok(took >= 84, `${took} ms`);
});

t.test('an end of the loop while something waits is no failure', async (t) => {
  const serving = new Pretence();
  serving.waiting = true;
  using loop = new EventLoop();
  idle(loop, [serving], { after: 0, minimumUptime: 0 }).subscribe({ error: t.error });
  serving.resume = () => loop.exit();
  await loop.run();
  await new Promise((resolve) => setTimeout(resolve, 20));
  t.strictSame(serving.told, ['pause']);
});

t.test('what can not be resumed, paused or looked at is its error', async (t) => {
  for (const method of ['resume', 'pause', 'waiting'] as const) {
    const serving = new Pretence();
    serving.waiting = true;
    Object.defineProperty(serving, method, {
      get: () => {
        if (method === 'waiting') throw new Error(method);
        return () => {
          throw new Error(method);
        };
      },
    });
    using loop = new EventLoop();
    const failed = firstValueFrom(idle(loop, [serving], { after: 0, minimumUptime: 0 }));
    const finished = loop.run();
    await t.rejects(failed, { message: method });
    loop.exit();
    await finished;
  }
});
