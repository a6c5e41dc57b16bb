import { Subject } from 'rxjs';
import t from 'tap';
import { call, exampleService } from './example.js';
import { type Fixture, type RawClient, systemError, turn, until, withServer } from './fixture.js';

const uid = process.getuid?.() ?? 0;
const nothing = { parameters: {} };

/** As many clients, each of them accepted. */
async function connected(fixture: Fixture, count: number): Promise<RawClient[]> {
  const before = fixture.accepted;
  const clients = Array.from({ length: count }, () => fixture.raw());
  await until(`${count} connections`, () => fixture.accepted === before + count);
  return clients;
}

t.test('a connection beyond those of its user is told so at once, is not counted, and others go on', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const clients = await connected(fixture, 3);
      const late = fixture.raw();
      await late.end();
      t.same(await late.replies(1), [systemError(87, 'EUSERS')]);
      t.equal(fixture.accepted, 3);
      t.same(fixture.refusals, [{ type: 'refused', uid, reason: 'connectionsPerUser', count: 1 }]);
      clients[0]?.[Symbol.dispose]();
      clients[1]?.send(call('Nothing'));
      t.same(await clients[1]?.replies(1), [nothing]);
      await turn();
      const next = fixture.raw();
      next.send(call('Nothing'));
      t.same(await next.replies(1), [nothing]);
    },
    { limits: { connectionsPerUser: 3 } },
  ),
);

t.test('a connection beyond those of all users is told something else', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      await connected(fixture, 3);
      const late = fixture.raw();
      await late.end();
      t.same(await late.replies(1), [systemError(11, 'EAGAIN')]);
      t.match(fixture.refusals, [{ reason: 'connections' }]);
    },
    { limits: { connections: 3 } },
  ),
);

t.test('those for whom the same one answers have what a user may have together', async (t) => {
  const accounts = [7, 8, 7, 8, 9];
  await withServer(
    exampleService(),
    async (fixture) => {
      const clients = await connected(fixture, 2);
      for (const account of [7, 8]) {
        const late = fixture.raw();
        await late.end();
        t.same(await late.replies(1), [systemError(87, 'EUSERS')]);
        t.same(fixture.refusals.at(-1), { type: 'refused', uid: account, reason: 'connectionsPerUser', count: 1 });
      }
      const other = fixture.raw();
      for (const client of [...clients, other]) {
        client.send(call('Nothing'));
        t.same(await client.replies(1), [nothing]);
      }
      t.same(accounts, [], 'asked once for each connection');
    },
    { limits: { connectionsPerUser: 1 }, account: ({ uid: own }) => (own === uid ? (accounts.shift() ?? -1) : -1) },
  );
});

t.test('a client that sent its call before it is refused finds the error, not a reset connection', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      await connected(fixture, 1);
      const late = fixture.raw();
      late.stopReading();
      late.send(call('Nothing'));
      await until('the refusal', () => fixture.refusals.length === 1);
      late.read();
      t.same(await late.replies(1), [systemError(87, 'EUSERS')]);
    },
    { limits: { connectionsPerUser: 1 } },
  ),
);

t.test('a storm of refused connections is one event a turn, and none of an accepted one', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      await connected(fixture, 1);
      const storm = Array.from({ length: 20 }, () => fixture.raw());
      for (const client of storm) await client.end();
      t.equal(fixture.accepted, 1);
      t.equal(
        fixture.refusals.reduce((sum, { count }) => sum + count, 0),
        20,
      );
      t.ok(fixture.refusals.length < 20, `${fixture.refusals.length} events`);
    },
    { limits: { connectionsPerUser: 1 } },
  ),
);

t.test('who runs the server is asked for each connection, by its peer, and told of its end', (t) => {
  const asked: number[] = [];
  let admitted = 0;
  const admit = (peer: { uid: number }) => {
    asked.push(peer.uid);
    if (admitted === 2) return undefined;
    admitted++;
    return { [Symbol.dispose]: () => admitted-- };
  };
  return withServer(
    exampleService(),
    async (fixture) => {
      const [first] = await connected(fixture, 2);
      const late = fixture.raw();
      await late.end();
      t.same(await late.replies(1), [systemError(87, 'EUSERS')]);
      t.match(fixture.refusals, [{ reason: 'admit' }]);
      t.same(asked, [uid, uid, uid]);
      first?.[Symbol.dispose]();
      await until('the end of the first', () => admitted === 1);
      await connected(fixture, 1);
      fixture.subscription.unsubscribe();
      t.equal(admitted, 0);
    },
    { admit },
  );
});

t.test('an error of who is asked refuses the connection, and ends nothing', (t) => {
  let fail = true;
  const admit = () => {
    if (fail) throw new Error('broken');
    return { [Symbol.dispose]: () => {} };
  };
  return withServer(
    exampleService(),
    async (fixture) => {
      const refused = fixture.raw();
      await refused.end();
      t.same(await refused.replies(1), [systemError(87, 'EUSERS')]);
      t.match(fixture.failures, [{ message: 'broken' }]);
      fail = false;
      const client = fixture.raw();
      client.send(call('Nothing'));
      t.same(await client.replies(1), [nothing]);
    },
    { admit },
  );
});

t.test('calls beyond those of their user wait unread, in the order they came', (t) => {
  const gates: Subject<{ value: number }>[] = [];
  const service = exampleService({
    Later: () => {
      const gate = new Subject<{ value: number }>();
      gates.push(gate);
      return gate;
    },
  });
  return withServer(
    service,
    async (fixture) => {
      const clients = await connected(fixture, 4);
      for (const [index, client] of clients.entries()) {
        client.send(call('Later', { value: index }), call('Echo', { text: String(index) }));
        await until('its arrival', () => gates.length === Math.min(index + 1, 2));
        await turn();
        await turn();
      }
      t.equal(gates.length, 2);
      for (const [index, client] of clients.entries()) {
        await until('its turn', () => gates[index] !== undefined);
        gates[index]?.next({ value: index });
        t.same(await client.replies(2), [{ parameters: { value: index } }, { parameters: { text: String(index) } }]);
      }
      t.same(fixture.refusals, []);
    },
    { limits: { callsPerUser: 2 } },
  );
});

t.test('a client that leaves while its call waits for its turn is forgotten, and the next one has it', (t) => {
  const gate = new Subject<{ value: number }>();
  return withServer(
    exampleService({ Later: () => gate }),
    async (fixture) => {
      const [busy, leaving, staying] = await connected(fixture, 3);
      busy?.send(call('Later', { value: 1 }));
      await until('the call', () => gate.observed);
      leaving?.send(call('Nothing'));
      await turn();
      staying?.send(call('Nothing'));
      await turn();
      leaving?.[Symbol.dispose]();
      await turn();
      gate.next({ value: 1 });
      t.same(await busy?.replies(1), [{ parameters: { value: 1 } }]);
      t.same(await staying?.replies(1), [nothing]);
    },
    { limits: { callsPerUser: 1 } },
  );
});

t.test('a limit that is no positive number is an error', (t) =>
  withServer(exampleService(), async (fixture) => {
    for (const messageSize of [0, -1, Number.NaN]) {
      const error = await new Promise((resolve) =>
        fixture.again({ limits: { messageSize } }).subscribe({ error: resolve }),
      );
      t.match(error, { name: 'RangeError', message: /messageSize/ });
    }
  }),
);
