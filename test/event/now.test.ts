import { EventLoop, type LoopState } from '@sdrx/event';
import { CLOCKS, type Clock, EventFd, now, sigqueue } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';
import { onLoop } from './on-loop.js';

const ALL = Object.keys(CLOCKS) as Clock[];
const SIGNAL = 'SIGRTMIN+7';

/** What the loop says of all clocks. */
function times(loop: EventLoop): number[] {
  return ALL.map((clock) => loop.now(clock));
}

/** What it says now, and once every clock has gone on. */
function twice(loop: EventLoop): [earlier: number[], later: number[]] {
  const earlier = times(loop);
  const end = now() + 0.1;
  while (now() < end);
  return [earlier, times(loop)];
}

t.test(
  'within each handler and callback all clocks stand still; to the next one they have gone on',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    using ready = new EventFd(1);
    const seen = new Map<string, { readonly state: LoopState; readonly times: [number[], number[]] }>();
    const look = (where: string) => (): void => {
      if (!seen.has(where)) seen.set(where, { state: loop.state, times: twice(loop) });
    };
    loop.defer({ repeat: true, prepare: look('prepare') }).subscribe(look('defer'));
    loop.io(ready.fd).subscribe(look('io'));
    loop.time({ every: 0.1 }).subscribe(look('time'));
    loop.post().subscribe(look('post'));
    loop.signal(SIGNAL).subscribe(look('signal'));
    const ratelimit = { interval: 1, burst: 1, onExpire: look('onExpire') };
    loop.defer({ repeat: true, ratelimit }).subscribe();
    for (const priority of [1, 2]) loop.exiting({ priority }).subscribe(look(`exiting ${priority}`));
    const finished = loop.run();
    sigqueue(process.pid, SIGNAL, 0);
    await until(() => seen.size === 7);
    loop.exit();
    await finished;

    let previous: number[] = [];
    for (const [where, { times }] of seen) {
      const [earlier, later] = times;
      t.strictSame(later, earlier, where);
      for (const [index, clock] of ALL.entries()) t.not(earlier[index], previous[index], `${clock} in ${where}`);
      previous = earlier;
    }
    t.strictSame(Object.fromEntries([...seen].map(([where, { state }]) => [where, state]).sort()), {
      defer: 'running',
      'exiting 1': 'exiting',
      'exiting 2': 'exiting',
      io: 'running',
      onExpire: 'running',
      post: 'running',
      prepare: 'preparing',
      signal: 'running',
      time: 'running',
    });
  }),
);

t.test('outside of handlers the clocks go on: before it runs, while it runs, and after it finished', async (t) => {
  using loop = new EventLoop();
  const goOn = (where: string): void => {
    const [earlier, later] = twice(loop);
    for (const [index, clock] of ALL.entries()) t.not(later[index], earlier[index], `${clock} ${where}`);
  };
  goOn('before');
  const finished = loop.run();
  goOn('while it runs');
  await new Promise<void>((resolve) => {
    loop.defer().subscribe(async () => {
      await undefined;
      goOn('when a handler has awaited');
      resolve();
    });
  });
  loop.exit();
  await finished;
  goOn('after');
});

t.test(
  'they go on again after a handler that failed',
  onLoop(async (t, loop) => {
    const { message } = await new Promise<Error>((resolve) => {
      process.once('uncaughtException', resolve);
      loop.defer().subscribe(() => {
        loop.now();
        throw new Error('failed');
      });
    });
    t.equal(message, 'failed');
    const [earlier, later] = twice(loop);
    t.ok(later.every((time, index) => time !== earlier[index]));
    t.equal(loop.state, 'armed');
  }),
);

t.test(
  "a handler of one loop does not stop another's clocks",
  onLoop(async (t, loop) => {
    using other = new EventLoop();
    const finished = other.run();
    const { own, others } = await new Promise<Record<'own' | 'others', [number[], number[]]>>((resolve) => {
      loop.defer().subscribe(() => resolve({ own: twice(loop), others: twice(other) }));
    });
    t.strictSame(own[1], own[0]);
    t.ok(others[1].every((time, index) => time !== others[0][index]));
    other.exit();
    await finished;
  }),
);

t.test(
  'the alarm clocks tell the same time as those they wake by, also within a handler',
  onLoop(async (t, loop) => {
    await new Promise<void>((resolve) => {
      loop.defer().subscribe(() => {
        t.equal(loop.now('realtime-alarm'), loop.now('realtime'));
        t.equal(loop.now('boottime-alarm'), loop.now('boottime'));
        resolve();
      });
    });
  }),
);

t.test(
  'each dispatch is one iteration, exit sources included, and nothing else is',
  leavingNothing(async (t) => {
    using loop = new EventLoop();
    const seen: number[] = [];
    const note = (): unknown => seen.push(loop.iteration);
    t.equal(loop.iteration, 0);
    for (let index = 0; index < 3; index++) loop.defer().subscribe(note);
    loop.defer({ priority: 1 }).subscribe(() => {
      note();
      loop.exit();
    });
    for (let index = 0; index < 2; index++) loop.exiting().subscribe(note);
    await loop.run();
    t.strictSame(seen, [1, 2, 3, 4, 5, 6]);
    t.equal(loop.iteration, 6);
  }),
);
