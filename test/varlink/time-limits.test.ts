import { Observable } from 'rxjs';
import t from 'tap';
import { call, exampleService } from './example.js';
import { frame, systemError, turn, withServer } from './fixture.js';

const nothing = { parameters: {} };

t.test('a message that has begun and does not end in time is told so, and ends its connection', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const idle = fixture.raw();
      const client = fixture.raw();
      client.send(call('Nothing'));
      t.same(await client.replies(1), [nothing]);
      const bytes = frame(call('Nothing'));
      client.sendBytes(bytes.subarray(0, 5));
      await turn();
      client.sendBytes(bytes.subarray(5, 10));
      await client.end();
      t.same(await client.replies(1), [systemError(62, 'ETIME')]);
      t.match(fixture.refusals, [{ reason: 'messageTime', count: 1 }]);
      idle.send(call('Nothing'));
      t.same(await idle.replies(1), [nothing]);
    },
    { limits: { messageTime: 50 } },
  ),
);

t.test('the time of a message behind a slow call does not count before that is answered', (t) => {
  let answer: (reply: { value: number }) => void = () => {};
  const service = exampleService({
    Later: () =>
      new Promise<{ value: number }>((resolve) => {
        answer = resolve;
      }),
  });
  return withServer(
    service,
    async (fixture) => {
      const client = fixture.raw();
      const [first, second] = [frame(call('Later', { value: 1 })), frame(call('Nothing'))];
      client.sendBytes(Buffer.concat([first, second.subarray(0, 9)]));
      const other = fixture.raw();
      other.sendBytes(second.subarray(0, 9));
      // The other began later, and its time is over.
      await other.end();
      answer({ value: 1 });
      client.sendBytes(second.subarray(9));
      t.same(await client.replies(2), [{ parameters: { value: 1 } }, nothing]);
    },
    { limits: { messageTime: 50 } },
  );
});

t.test('a call that takes too long is answered ETIMEDOUT, its handler is stopped, and the connection goes on', (t) => {
  let stopped = 0;
  const never = () =>
    new Observable<never>((subscriber) => {
      subscriber.add(() => stopped++);
    });
  return withServer(
    exampleService({ Later: never, Watch: never }),
    async (fixture) => {
      const client = fixture.raw();
      client.send(call('Later', { value: 1 }), call('Nothing'), call('Watch', {}, { more: true }));
      t.same(await client.replies(3), [systemError(110, 'ETIMEDOUT'), nothing, systemError(110, 'ETIMEDOUT')]);
      t.equal(stopped, 2);
      client.send(call('Later', { value: 1 }, { oneway: true }), call('Nothing'));
      t.same(await client.replies(1), [nothing]);
      t.equal(stopped, 3);
      t.same(
        fixture.refusals.map(({ reason, count }) => [reason, count]),
        Array(3).fill(['callTime', 1]),
      );
    },
    { limits: { callTime: 30 } },
  );
});

t.test('a promise that settles too late answers nobody, and its call counts until then', (t) => {
  let settle: () => void = () => {};
  const service = exampleService({
    Later: () =>
      new Promise<{ value: number }>((resolve) => {
        settle = () => resolve({ value: 1 });
      }),
  });
  return withServer(
    service,
    async (fixture) => {
      const client = fixture.raw();
      client.send(call('Later', { value: 1 }), call('Echo', { text: 'next' }));
      t.same(await client.replies(1), [systemError(110, 'ETIMEDOUT')]);
      for (let turns = 0; turns < 5; turns++) await turn();
      t.same(client.messages, [], 'the user may have one call, and that goes on');
      settle();
      t.same(await client.replies(1), [{ parameters: { text: 'next' } }]);
      t.same(fixture.failures, []);
    },
    { limits: { callTime: 30, callsPerUser: 1 } },
  );
});

t.test('a call that has had a reply may go on for as long as it likes', (t) => {
  let go: () => void = () => {};
  const service = exampleService({
    Watch: (_, call) =>
      new Observable<{ value: number }>((subscriber) => {
        call.notify({ value: 1 });
        go = () => {
          subscriber.next({ value: 2 });
          subscriber.complete();
        };
      }),
    Later: () => new Promise(() => {}),
  });
  return withServer(
    service,
    async (fixture) => {
      const client = fixture.raw();
      client.send(call('Watch', {}, { more: true }));
      t.same(await client.replies(1), [{ parameters: { value: 1 }, continues: true }]);
      const other = fixture.raw();
      other.send(call('Later', { value: 1 }));
      t.same(await other.replies(1), [systemError(110, 'ETIMEDOUT')]);
      go();
      t.same(await client.replies(1), [{ parameters: { value: 2 } }]);
    },
    { limits: { callTime: 30 } },
  );
});

t.test('a client that takes none of its replies goes after a time, one that takes them slowly does not', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const calls = frame(...Array.from({ length: 100 }, () => call('Echo', { text: 'x'.repeat(3000) })));
      const dead = fixture.raw();
      const slow = fixture.raw();
      for (const client of [dead, slow]) client.stopReading();
      let taken = 0;
      for (const client of [dead, slow]) {
        // From where the socket took no more, or what the server reads is no call.
        let rest = calls;
        for (let count = 1; count > 0; await turn()) {
          count = client.sendBytes(rest);
          rest = count < rest.length ? rest.subarray(count) : calls;
        }
      }
      while (!fixture.refusals.some(({ reason }) => reason === 'replyTime')) {
        taken += slow.receiveSome();
        await turn();
      }
      t.ok(taken > 0);
      t.match(fixture.refusals, [{ reason: 'replyTime', count: 1 }]);
      dead.read();
      await dead.end();
      t.notOk(slow.closed);
    },
    { limits: { replyTime: 1000 } },
  ),
);
