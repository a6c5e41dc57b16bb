import { EventLoop } from '@sdrx/event';
import { bind, connect, duplicate, EPOLLIN, Epoll, listen, ReceiveBuffer, SystemError, unixSocket } from '@sdrx/linux';
import { type ServerEvent, serve, service } from '@sdrx/varlink';
import { Subject } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { call, exampleService } from './example.js';
import { info, openFds, RawClient, systemError, turn, until, withServer } from './fixture.js';

/** More than the hundred that may wait for one socket through three nested epoll sets. */
const LISTENERS = 150;

const nothing = { parameters: {} };

t.test('150 loops listen on one socket, pause and resume, and each client is served once', async (t) => {
  using folder = new Folder();
  using socket = unixSocket();
  const path = folder.join('socket');
  bind(socket.number, path);
  listen(socket.number);
  const before = openFds();
  // Each Server wants a descriptor of its own to be watched in this one process.
  const listeners = Array.from({ length: LISTENERS }, () => {
    const loop = new EventLoop();
    const drain = new Subject<void>();
    const events: ServerEvent[] = [];
    const copy = duplicate(socket.number);
    const subscription = serve(loop, service(info, ...exampleService()), copy.number, { drain }).subscribe((event) =>
      events.push(event),
    );
    return { loop, finished: loop.run(), drain, events, copy, subscription };
  });
  const [{ loop } = { loop: new EventLoop() }] = listeners;
  for (let round = 0; round < 3; round++) {
    const clients = Array.from({ length: 50 }, () => new RawClient(loop, path));
    for (const client of clients) client.send(call('Nothing'));
    for (const client of clients) t.same(await client.replies(1), [nothing]);
    for (const client of clients) client[Symbol.dispose]();
    await turn();
  }
  const accepted = listeners.flatMap(({ events }) => events.filter((event) => event.type === 'accepted'));
  t.equal(
    accepted.reduce((sum, { count }) => sum + count, 0),
    150,
  );
  t.notOk(listeners.some(({ events }) => events.some(({ type }) => type === 'exhausted' || type === 'failed')));
  for (const { subscription, loop, finished, copy } of listeners) {
    subscription.unsubscribe();
    copy.close();
    loop.exit();
    await finished;
  }
  await until('all to close', () => openFds() === before);
});

t.test('what the one that was woken leaves another one finds', async (t) => {
  using folder = new Folder();
  using socket = unixSocket();
  const path = folder.join('socket');
  bind(socket.number, path);
  listen(socket.number);
  const before = openFds();
  const accepted: string[] = [];
  const begin = (name: string) => {
    const loop = new EventLoop();
    const copy = duplicate(socket.number);
    const subscription = serve(loop, service(info, ...exampleService()), copy.number, { exclusive: true }).subscribe(
      ({ type }) => type === 'accepted' && accepted.push(name),
    );
    return { loop, copy, subscription };
  };
  // Watches for longest, so it is woken, and its loop does not run.
  const first = begin('first');
  const second = begin('second');
  const finished = second.loop.run();
  {
    using client = new RawClient(second.loop, path);
    client.send(call('Nothing'));
    t.same(await client.replies(1), [nothing]);
  }
  t.strictSame(accepted, ['second']);
  await turn();
  second.loop.exit();
  await finished;
  for (const { copy, subscription, loop } of [first, second]) {
    subscription.unsubscribe();
    copy.close();
    loop[Symbol.dispose]();
  }
  await until('all to close', () => openFds() === before);
});

t.test('as many nested epoll sets would not', (t) => {
  using folder = new Folder();
  using socket = unixSocket();
  bind(socket.number, folder.join('socket'));
  listen(socket.number);
  const sets: Epoll[] = [];
  const nest = (): void => {
    const [inner, middle, outer] = [new Epoll(), new Epoll(), new Epoll()];
    sets.push(inner, middle, outer);
    middle.add(inner.fd, EPOLLIN, 0);
    outer.add(middle.fd, EPOLLIN, 0);
    inner.add(socket.number, EPOLLIN, 0);
  };
  t.throws(
    () => {
      for (let count = 0; count < LISTENERS; count++) nest();
    },
    { code: 'EINVAL' },
  );
  for (const set of sets) set[Symbol.dispose]();
  t.end();
});

t.test('connections wait while the loop does not run, and Node is not kept busy by that', async (t) => {
  using folder = new Folder();
  using socket = unixSocket();
  const path = folder.join('socket');
  bind(socket.number, path);
  listen(socket.number);
  using loop = new EventLoop();
  const events: ServerEvent[] = [];
  const subscription = serve(loop, service(info, ...exampleService()), socket.number).subscribe((event) =>
    events.push(event),
  );
  using early = unixSocket();
  connect(early.number, path);
  for (let turns = 0; turns < 20; turns++) await turn();
  t.same(events, []);
  const finished = loop.run();
  await until('the connection', () => events.some(({ type }) => type === 'accepted'));
  using client = new RawClient(loop, path);
  client.send(call('Nothing'));
  t.same(await client.replies(1), [nothing]);
  subscription.unsubscribe();
  loop.exit();
  await finished;
});

t.test('when the kernel can watch no more, a new connection is told so and closed, and others go on', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.send(call('Nothing'));
    t.same(await client.replies(1), [nothing]);
    const add = Epoll.prototype.add;
    t.teardown(() => {
      Epoll.prototype.add = add;
    });
    // Stands in for the kernel's limit, which is one of all processes of the user.
    let refused = 0;
    Epoll.prototype.add = function (fd, events, data) {
      if (data > 0 && refused++ === 0) throw new SystemError(28, 'epoll_ctl', String(fd));
      add.call(this, fd, events, data);
    };
    // Without a loop, so that the server is the next one that has something to watch.
    using late = unixSocket();
    connect(late.number, fixture.path);
    await until('the refusal', () => fixture.refusals.length > 0);
    const buffer = new ReceiveBuffer(1000);
    const size = buffer.receive(late.number, []);
    t.same(JSON.parse(buffer.bytes.toString('utf8', 0, (size ?? 0) - 1)), systemError(28, 'ENOSPC'));
    t.equal(buffer.receive(late.number, []), 0);
    t.match(fixture.refusals, [{ reason: 'watches' }]);
    t.match(fixture.failures, [{ code: 'ENOSPC' }]);
    client.send(call('Nothing'));
    t.same(await client.replies(1), [nothing]);
    const next = fixture.raw();
    next.send(call('Nothing'));
    t.same(await next.replies(1), [nothing]);
  }),
);
