import t from 'tap';
import { call, exampleService } from './example.js';
import { frame, turn, until, withServer } from './fixture.js';

const nothing = { parameters: {} };
const ROOT = 0;

t.test('calls of one user in a hundred connections leave another one its turn', (t) => {
  let account = 7;
  return withServer(
    exampleService(),
    async (fixture) => {
      const many = Array.from({ length: 100 }, () => fixture.raw());
      await until('their connections', () => fixture.accepted === 100);
      account = 8;
      const other = fixture.raw();
      await until('the other one', () => fixture.accepted === 101);
      for (const client of many) client.send(call('Nothing'));
      other.send(call('Nothing'));
      await other.replies(1);
      const answered = many.filter(({ messages }) => messages.length > 0).length;
      t.ok(answered < 50, `${answered} of the hundred were answered before`);
      for (const client of many) t.same(await client.replies(1), [nothing]);
    },
    { account: () => account },
  );
});

t.test('calls beyond those of a second wait for the next one, and are answered in their order; others do not', (t) => {
  let account = 7;
  return withServer(
    exampleService(),
    async (fixture) => {
      const texts = Array.from({ length: 12 }, (_, index) => String(index));
      const client = fixture.raw();
      await until('the connection', () => fixture.accepted === 1);
      const begin = performance.now();
      client.sendBytes(frame(...texts.map((text) => call('Echo', { text }))));
      await until('the first ones', () => client.messages.length === 5);
      account = 8;
      const other = fixture.raw();
      other.send(call('Nothing'));
      t.same(await other.replies(1), [nothing]);
      account = 7;
      const another = fixture.raw();
      another.send(call('Nothing'));
      for (let turns = 0; turns < 20; turns++) await turn();
      t.equal(client.messages.length, 5);
      t.equal(another.messages.length, 0, 'of the same user');
      t.same(
        await client.replies(12),
        texts.map((text) => ({ parameters: { text } })),
      );
      t.same(await another.replies(1), [nothing]);
      t.ok(performance.now() - begin >= 2000, 'in the third second');
    },
    { account: () => account, limits: { callsPerSecond: 5 } },
  );
});

t.test('root, which calls for others, has any number of calls in a second', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const client = fixture.raw();
      const begin = performance.now();
      client.send(...Array.from({ length: 50 }, () => call('Nothing')));
      t.equal((await client.replies(50)).length, 50);
      t.ok(performance.now() - begin < 5000);
    },
    { account: () => ROOT, limits: { callsPerSecond: 5 } },
  ),
);

t.test('the end of a server does not wait for calls that have to wait', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const client = fixture.raw();
      client.send(...Array.from({ length: 12 }, () => call('Nothing')));
      await until('the first ones', () => client.messages.length === 5);
      fixture.subscription.unsubscribe();
      await client.end();
      t.equal(client.messages.length, 5);
    },
    { account: () => 7, limits: { callsPerSecond: 5 } },
  ),
);
