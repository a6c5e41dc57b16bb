import { setTimeout } from 'node:timers/promises';
import { lastValueFrom, Subject } from 'rxjs';
import t from 'tap';
import { SteadyClients } from '../support/steady-clients.js';
import { call, exampleService } from './example.js';
import { frame, turn, until, withServer } from './fixture.js';

t.test('drained without connections, the server completes', (t) => {
  const drain = new Subject<void>();
  return withServer(
    exampleService(),
    async (fixture) => {
      drain.next();
      await until('completion', () => fixture.completed);
      t.pass();
    },
    { drain },
  );
});

t.test('drained, idle connections are closed and no new one is accepted', (t) => {
  const drain = new Subject<void>();
  return withServer(
    exampleService(),
    async (fixture) => {
      const idle = fixture.raw();
      const begun = fixture.raw();
      idle.send(call('Nothing'));
      await idle.replies(1);
      begun.sendBytes(frame(call('Nothing')).subarray(0, 10));
      await until('two connections', () => fixture.accepted === 2);
      drain.next();
      const late = fixture.raw();
      await idle.end();
      await begun.end();
      t.ok(fixture.completed);
      late.send(call('Nothing'));
      for (let turns = 0; turns < 10; turns++) await turn();
      t.same(late.messages, []);
      t.notOk(late.closed);
    },
    { drain },
  );
});

t.test('drained, calls that have arrived are answered first, also those not read yet', (t) => {
  const drain = new Subject<void>();
  const gate = new Subject<{ value: number }>();
  return withServer(
    exampleService({ Later: () => gate }),
    async (fixture) => {
      const slow = fixture.raw();
      slow.send(call('Later', { value: 1 }), call('Echo', { text: 'behind' }));
      const quick = fixture.raw();
      quick.send(call('Nothing'));
      await quick.replies(1);
      await until('the slow call', () => gate.observed);
      slow.send(call('Echo', { text: 'unread' }));
      quick.send(call('Echo', { text: 'unread' }), call('Echo', { text: 'as well' }));
      drain.next();
      t.same(await quick.replies(2), [{ parameters: { text: 'unread' } }, { parameters: { text: 'as well' } }]);
      await quick.end();
      t.notOk(fixture.completed);
      gate.next({ value: 3 });
      t.same(await slow.replies(3), [
        { parameters: { value: 3 } },
        { parameters: { text: 'behind' } },
        { parameters: { text: 'unread' } },
      ]);
      await slow.end();
      await until('completion', () => fixture.completed);
    },
    { drain },
  );
});

t.test('drained, a connection whose first call has not come yet has its time for one', (t) => {
  const drain = new Subject<void>();
  return withServer(
    exampleService(),
    async (fixture) => {
      const quick = fixture.raw();
      const slow = fixture.raw();
      const mute = fixture.raw();
      slow.sendBytes(frame(call('Echo', { text: 'slow' })).subarray(0, 10));
      await until('three connections', () => fixture.accepted === 3);
      drain.next();
      for (let turns = 0; turns < 10; turns++) await turn();
      quick.send(call('Echo', { text: 'quick' }));
      slow.sendBytes(frame(call('Echo', { text: 'slow' })).subarray(10));
      t.same(await quick.replies(1), [{ parameters: { text: 'quick' } }]);
      t.same(await slow.replies(1), [{ parameters: { text: 'slow' } }]);
      await quick.end();
      await slow.end();
      t.notOk(mute.closed);
      await mute.end();
      t.ok(fixture.completed);
    },
    { drain },
  );
});

t.test('drained again and again, it loses no call of those who call all the time', (t) =>
  withServer(exampleService(), async (fixture) => {
    fixture.subscription.unsubscribe();
    await using clients = new SteadyClients();
    const serveUntil = async (rounds: number) => {
      for (let round = 0; round < rounds; round++) {
        const drain = new Subject<void>();
        const completed = lastValueFrom(fixture.again({ drain }), { defaultValue: undefined });
        // Others for whom there is no connection wait in the socket meanwhile.
        await setTimeout(5);
        drain.next();
        await completed;
      }
    };
    for (const kept of [true, true, false])
      clients.start(fixture.path, kept, { method: 'org.varlink.service.GetInfo' });
    await serveUntil(300);
    const [ends] = await Promise.all([clients.stop(), serveUntil(100)]);
    for (const { calls, connections, errors, lost } of ends) {
      t.strictSame(lost, []);
      t.strictSame(errors, { none: calls });
      t.ok(connections > 50, `${calls} calls over ${connections} connections`);
    }
  }),
);

t.test('drained by a handler, its own call is answered', (t) => {
  const drain = new Subject<void>();
  const service = exampleService({
    Nothing: () => {
      drain.next();
    },
  });
  return withServer(
    service,
    async (fixture) => {
      const other = fixture.raw();
      const client = fixture.raw();
      client.send(call('Nothing'), call('Echo', { text: 'behind' }));
      t.same(await client.replies(2), [{ parameters: {} }, { parameters: { text: 'behind' } }]);
      await client.end();
      await other.end();
      await until('completion', () => fixture.completed);
    },
    { drain },
  );
});

t.test('unsubscribed, the server closes all connections at once and leaves the listening socket', (t) =>
  withServer(exampleService({ Later: () => new Subject<{ value: number }>() }), async (fixture) => {
    const busy = fixture.raw();
    const idle = fixture.raw();
    busy.send(call('Later', { value: 1 }));
    await until('the call', () => fixture.connections === 2);
    fixture.subscription.unsubscribe();
    await busy.end();
    await idle.end();
    t.doesNotThrow(() => fixture.raw());
  }),
);
