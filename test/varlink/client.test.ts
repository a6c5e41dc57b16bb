import { fstatSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { socketPair } from '@sdrx/linux';
import { ConnectionClosedError, connect, ProtocolError, VarlinkClient } from '@sdrx/varlink';
import { firstValueFrom, from, lastValueFrom, Observable, toArray } from 'rxjs';
import t from 'tap';
import { answeredWith } from './answered-with.js';
import { example, exampleService } from './example.js';
import { openFds, turn, until, withServer } from './fixture.js';

const { methods, errors } = example;

t.test('a call resolves with the reply, typed as declared', (t) =>
  withServer(exampleService(), async (fixture) => {
    const { parameters, continues } = await fixture
      .client()
      .call(methods.Echo, { text: 'x', points: [{ x: 1, y: 2 }] });
    const text: string = parameters.text;
    t.equal(text, 'x');
    t.same(parameters.points, [{ x: 1, y: 2 }]);
    t.notOk(continues);
  }),
);

t.test('calls sent without waiting are answered each with its own', (t) =>
  withServer(exampleService({ Later: async ({ value }) => ({ value }) }), async (fixture) => {
    const client = fixture.client();
    const answers = await Promise.all(
      Array.from({ length: 500 }, (_, value) =>
        value % 2 === 0
          ? client.call(methods.Later, { value }).then(({ parameters }) => parameters.value)
          : client.call(methods.Echo, { text: '', number: value }).then(({ parameters }) => parameters.number),
      ),
    );
    t.same(
      answers,
      answers.map((_, value) => value),
    );
  }),
);

t.test('a call rejects with the error that the service answers', (t) => {
  const service = exampleService({
    Nothing: () => {
      throw errors.Refused({ why: 'so' });
    },
  });
  return withServer(service, async (fixture) => {
    const client = fixture.client();
    const thrown = await client.call(methods.Nothing, {}).catch((error: unknown) => error);
    t.match(thrown, { error: 'org.example.test.Refused', parameters: { why: 'so' } });
    t.ok(errors.Refused.is(thrown));
  });
});

t.test('more gives all replies and completes', (t) =>
  withServer(exampleService({ Count: ({ to }) => from([{ value: 1 }, { value: to }]) }), async (fixture) => {
    const client = fixture.client();
    const all = await lastValueFrom(client.more(methods.Count, { to: 5 }).pipe(toArray()));
    t.match(all, [
      { parameters: { value: 1 }, continues: true },
      { parameters: { value: 5 }, continues: false },
    ]);
    await t.rejects(firstValueFrom(client.more(methods.Unimplemented, {})), { name: 'VarlinkError' });
  }),
);

t.test('replies that no one waits for any more are dropped, and the next call is answered', (t) =>
  withServer(exampleService({ Count: () => from([1, 2, 3].map((value) => ({ value }))) }), async (fixture) => {
    const client = fixture.client();
    const first = await firstValueFrom(client.more(methods.Count, { to: 3 }));
    t.equal(first.parameters.value, 1);
    t.equal((await client.call(methods.Echo, { text: 'next' })).parameters.text, 'next');
  }),
);

t.test('a oneway call is not waited for', (t) => {
  let calls = 0;
  const service = exampleService({
    Nothing: () => {
      calls++;
    },
  });
  return withServer(service, async (fixture) => {
    const client = fixture.client();
    client.oneway(methods.Nothing, {});
    t.equal((await client.call(methods.Echo, { text: 'x' })).parameters.text, 'x');
    t.equal(calls, 1);
  });
});

t.test('descriptors go with a call and come with a reply', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.client();
    const [one, two] = socketPair();
    const { ino } = fstatSync(two.number);
    const { parameters } = await client.call(methods.Inode, { fd: 1 }, { fds: [one.number, two.number] });
    t.same(parameters, { inode: ino, count: 2 });
    t.equal(fstatSync(two.number).ino, ino, 'ours stays open');
    one.close();
    two.close();
    const opened = await client.call(methods.Open, { path: '/etc/hostname' });
    t.equal(opened.fds.length, 1);
    t.ok(fstatSync(opened.fds[opened.parameters.fd]?.number ?? -1).isFile());
    for (const fd of opened.fds) fd.close();
  }),
);

t.test('when the service goes away, calls that wait are rejected, and later ones too', (t) =>
  withServer(exampleService({ Later: () => new Promise(() => {}) }), async (fixture) => {
    const client = fixture.client();
    const waiting = [client.call(methods.Later, { value: 1 }), client.call(methods.Nothing, {})];
    await until('the call', () => fixture.connections === 1);
    fixture.subscription.unsubscribe();
    for (const call of waiting) await t.rejects(call, { name: 'ConnectionClosedError' });
    await t.rejects(client.call(methods.Nothing, {}), { name: 'ConnectionClosedError' });
    t.throws(() => client.oneway(methods.Nothing, {}), { name: 'ConnectionClosedError' });
    t.type(client.closed, ConnectionClosedError);
  }),
);

t.test('disposed of, a client rejects what waits and frees its descriptor', (t) =>
  withServer(exampleService({ Later: () => new Observable() }), async (fixture) => {
    const before = openFds();
    const client = fixture.client();
    const waiting = client.call(methods.Later, { value: 1 });
    await turn();
    client[Symbol.dispose]();
    await t.rejects(waiting, { name: 'ConnectionClosedError' });
    await until('both ends to close', () => openFds() === before);
  }),
);

t.test('where no one listens, connect throws', (t) =>
  withServer(exampleService(), async (fixture) => {
    const before = openFds();
    t.throws(() => connect(fixture.loop, `${fixture.path}.missing`), { code: 'ENOENT' });
    t.equal(openFds(), before);
  }),
);

t.test('megabytes go both ways', (t) =>
  withServer(exampleService(), async (fixture) => {
    const text = 'ä'.repeat(3_000_000);
    const { parameters } = await fixture.client().call(methods.Echo, { text });
    t.ok(parameters.text === text);
  }),
);

t.test('an answer that is no Varlink, or not as declared, is a ProtocolError', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Later, { value: 1 });
  for (const bytes of [
    'garbage\0',
    '[]\0',
    '{"other":1}\0',
    '{"parameters":{"value":"x"}}\0',
    '{"parameters":{}}\0',
    '{}\0',
  ]) {
    t.type(await answeredWith(bytes, ask), ProtocolError, bytes);
  }
});

t.test('fields that a newer service adds to a reply are let through', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Later, { value: 1 });
  t.match(await answeredWith('{"parameters":{"value":1,"extra":2}}\0', ask), { parameters: { value: 1 } });
});

t.test('a service that does not answer, or not to the end, is waited for no longer than said', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Later, { value: 1 });
  for (const bytes of ['', '{"parameters":{"val']) {
    const late = await answeredWith(bytes, ask, [], { callTime: 50 });
    t.match(late, { name: 'ConnectionClosedError', message: /no reply to org\.example\.test\.Later within 50 ms/ });
  }
  const once = (client: VarlinkClient) => client.call(methods.Later, { value: 1 }, { callTime: 50 });
  t.match(await answeredWith('', once, [], { callTime: Number.POSITIVE_INFINITY }), { message: /within 50 ms/ });
  // The replies of one call may come at any time, unless said otherwise.
  const some = (client: VarlinkClient) => lastValueFrom(client.more(methods.Count, { to: 2 }, { callTime: 50 }));
  t.match(await answeredWith('{"parameters":{"value":1},"continues":true}\0', some), { message: /within 50 ms/ });
});

t.test('an answer in time ends the time; replies to one call with more have none', (t) =>
  withServer(exampleService({ Later: async ({ value }) => ({ value }) }), async (fixture) => {
    using client = connect(fixture.loop, fixture.path, { callTime: 200 });
    using other = connect(fixture.loop, fixture.path, { callTime: 100 });
    const watching = firstValueFrom(client.more(methods.Watch, {})).catch((error: unknown) => error);
    const late = other.more(methods.Watch, {});
    await other.call(methods.Later, { value: 1 });
    // A call that is never answered tells that the time has passed.
    const waiting = firstValueFrom(late).catch((error: unknown) => error);
    await t.rejects(other.call(methods.Nothing, {}), { message: /Nothing within 100 ms/ });
    t.match(await waiting, { name: 'ConnectionClosedError' });
    await t.rejects(client.call(methods.Nothing, {}), { message: /Nothing within 200 ms/ });
    t.match(await watching, { name: 'ConnectionClosedError' });
  }),
);

t.test('a service that gives several replies to a call for one is not listened to', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Nothing, {});
  const bytes = '{"parameters":{},"continues":true}\0{"parameters":{},"continues":true}\0';
  t.type(await answeredWith(bytes, ask, [0, 0]), ProtocolError);
});

t.test('a reply of any depth that systemd would take is taken, one beyond is not', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Mirror, { thing: {} });
  const reply = (depth: number) => `{"parameters":{"thing":${'{"a":'.repeat(depth)}1${'}'.repeat(depth)}}}\0`;
  t.match(await answeredWith(reply(2046), ask), { parameters: { thing: { a: { a: {} } } } });
  t.type(await answeredWith(reply(2047), ask), ProtocolError);
});

t.test('descriptors that come with an error or with garbage are closed', async (t) => {
  const ask = (client: VarlinkClient) => client.call(methods.Nothing, {});
  t.match(await answeredWith('{"error":"a.B"}\0', ask, [0, 0]), { error: 'a.B', parameters: {} });
  t.type(await answeredWith('garbage\0', ask, [0, 0]), ProtocolError);
});

t.test('a client of a loop that has ended is closed', async (t) => {
  const loop = new EventLoop();
  const finished = loop.run();
  loop.exit();
  await finished;
  const [socket, other] = socketPair();
  let closed = 0;
  const client = new VarlinkClient(loop, socket, {}, () => closed++);
  t.match(client.closed, { name: 'ConnectionClosedError', message: /ESTALE: the loop has finished/ });
  await t.rejects(client.call(methods.Nothing, {}), ConnectionClosedError);
  t.strictSame([closed, socket.number], [1, -1]);
  other.close();
});
