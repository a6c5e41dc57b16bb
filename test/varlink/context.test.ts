import { AsyncLocalStorage } from 'node:async_hooks';
import { EventLoop } from '@sdrx/event';
import { bind, listen, unixSocket } from '@sdrx/linux';
import { connect, field, implement, int, serve, service, varlinkInterface } from '@sdrx/varlink';
import { lastValueFrom, of, tap } from 'rxjs';
import t from 'tap';
import { info, until } from './fixture.js';

const request = new AsyncLocalStorage<string>();

const example = varlinkInterface({
  name: 'org.example.context',
  description: 'For tests.',
  methods: { Get: { more: true, reply: { value: field(int) } } },
});

t.test('a handler sees the context of `serve`, who waits for a reply that of the call', async (t) => {
  using loop = new EventLoop();
  using socket = unixSocket();
  bind(socket.number, `@sdrx-test-context-${process.pid}`);
  listen(socket.number);
  const seen: string[] = [];
  const implementation = implement(example, {
    Get: () => {
      seen.push(`handler ${request.getStore()}`);
      return of({ value: 1 }, { value: 2 });
    },
  });
  const finished = loop.run();
  const server = request.run('serve', () => serve(loop, service(info, implementation), socket.number).subscribe());
  using client = request.run('connect', () => connect(loop, `@sdrx-test-context-${process.pid}`));
  const calls = ['A', 'B'].map((name) =>
    request.run(name, () => {
      const see = (what: string) => () => seen.push(`${what} of ${name} in ${request.getStore()}`);
      return lastValueFrom(
        client.more(example.methods.Get, {}).pipe(tap({ next: see('reply'), complete: see('end') })),
      );
    }),
  );
  await Promise.all(calls);
  await until('all replies', () => seen.length === 8);
  t.strictSame(
    seen.sort(),
    [
      ...['handler serve', 'handler serve'],
      ...['A', 'B'].flatMap((name) => [
        `reply of ${name} in ${name}`,
        `reply of ${name} in ${name}`,
        `end of ${name} in ${name}`,
      ]),
    ].sort(),
  );
  server.unsubscribe();
  loop.exit();
  await finished;
});
