import { AsyncLocalStorage } from 'node:async_hooks';
import { EventLoop } from '@sdrx/event';
import { EventFd, spawn, write } from '@sdrx/linux';
import { throwError } from 'rxjs';
import t from 'tap';
import { until } from '../support/until.js';
import { onLoop, Sockets } from './on-loop.js';
import { provokeUntil, specimens } from './specimens.js';

const request = new AsyncLocalStorage<string>();

for (const [kind, make] of Object.entries(specimens)) {
  t.test(
    `a handler of ${kind} sees the context of its own subscription, whoever wakes the loop`,
    onLoop(async (t, loop) => {
      using specimen = make();
      const seen: string[] = [];
      for (const name of ['A', 'B']) {
        request.run(name, () => {
          const subscription = specimen.source(loop).subscribe(() => {
            seen.push(`${name} sees ${request.getStore()}`);
            subscription.unsubscribe();
          });
        });
      }
      await request.run('C', () => provokeUntil(loop, specimen, () => seen.length === 2));
      t.strictSame(seen.sort(), ['A sees A', 'B sees B']);
    }),
  );
}

t.test(
  'so does that of a child, of a timer, and of one that came before the loop ran',
  onLoop(async (t, loop) => {
    const seen: string[] = [];
    const see = (what: string) => () => seen.push(`${what} ${request.getStore()}`);
    using child = spawn('true');
    request.run('A', () => loop.child(child).subscribe(see('child')));
    request.run('B', () => loop.time({ after: 1 }).subscribe(see('time')));
    await request.run('C', () => until(() => seen.length === 2));

    using other = new EventLoop();
    request.run('D', () => other.defer().subscribe(see('defer')));
    const finished = request.run('E', () => other.run());
    await until(() => seen.length === 3);
    other.exit();
    await finished;
    t.strictSame(seen.sort(), ['child A', 'defer D', 'time B']);
  }),
);

t.test('and what else is called for a subscription: prepare, onExpire, exiting, error, complete', async (t) => {
  using loop = new EventLoop();
  using event = new EventFd();
  const seen = new Set<string>();
  const see = (what: string) => () => {
    seen.add(`${what} ${request.getStore()}`);
  };
  request.run('A', () => {
    const ratelimit = { interval: 1, burst: 1, onExpire: see('onExpire') };
    loop
      .io(event.fd, { prepare: see('prepare'), ratelimit })
      .subscribe({ next: see('next'), complete: see('complete') });
  });
  request.run('B', () => {
    loop.exiting().subscribe({ next: see('exiting'), complete: see('end of exiting') });
    const priority = throwError(() => new Error('of an option'));
    loop.defer({ priority }).subscribe({ error: see('error') });
  });
  const finished = request.run('C', () => loop.run());
  request.run('D', () => event.add());
  await until(() => seen.has('onExpire A'));
  request.run('E', () => loop.exit());
  await finished;
  t.strictSame(
    [...seen].sort(),
    ['complete A', 'end of exiting B', 'error B', 'exiting B', 'next A', 'onExpire A', 'prepare A'].sort(),
  );
});

t.test(
  'what one handler enters is not seen by others',
  onLoop(async (t, loop) => {
    const seen: string[] = [];
    request.run('A', () => loop.defer().subscribe(() => request.enterWith('entered')));
    request.run('B', () => loop.defer().subscribe(() => seen.push(`B ${request.getStore()}`)));
    request.exit(() => loop.defer().subscribe(() => seen.push(`none ${request.getStore()}`)));
    await until(() => seen.length === 2);
    t.strictSame(seen, ['B B', 'none undefined']);
  }),
);

t.test(
  'what a handler goes on with later keeps the context',
  onLoop(async (t, loop) => {
    using sockets = new Sockets();
    const seen: unknown[] = [];
    const subscription = request.run('A', () =>
      loop.io(sockets.ours).subscribe(() => {
        subscription.unsubscribe();
        void Promise.resolve().then(() => {
          seen.push(request.getStore());
          setImmediate(() => seen.push(request.getStore()));
        });
      }),
    );
    request.run('B', () => write(sockets.theirs.number, Buffer.from('x')));
    await until(() => seen.length === 2);
    t.strictSame(seen, ['A', 'A']);
  }),
);
