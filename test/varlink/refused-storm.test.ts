import { readdirSync } from 'node:fs';
import { Subject } from 'rxjs';
import t from 'tap';
import { LingeringSocket } from '../support/lingering-socket.js';
import { call, exampleService } from './example.js';
import { type Fixture, frame, type RawClient, systemError, turn, until, withServer } from './fixture.js';

/** How many refusals of one user a second are told at once. */
const PROMPT = 8;

/** How many of one user wait. */
const MOST = 1024;

const nothing = { parameters: {} };
const full = systemError(87, 'EUSERS');
const open = (clients: readonly RawClient[]) => clients.filter(({ closed }) => !closed);
const refusals = (fixture: Fixture) => fixture.refusals.reduce((sum, { count }) => sum + count, 0);

/** Has the one connection that may be, then tries to have so many more. */
async function storm(fixture: Fixture, count: number): Promise<RawClient[]> {
  if (fixture.accepted === 0) {
    fixture.raw();
    await until('the connection', () => fixture.accepted === 1);
  }
  const before = refusals(fixture);
  const clients = Array.from({ length: count }, () => fixture.raw());
  await until(`${count} refusals`, () => refusals(fixture) === before + count);
  for (let turns = 0; turns < 5; turns++) await turn();
  return clients;
}

t.test('of many refused connections the first ones are told at once, the others when they have waited', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const begin = performance.now();
      const clients = await storm(fixture, 20);
      await until('those that are told at once', () => open(clients).length === 20 - PROMPT);
      t.same(open(clients.slice(0, PROMPT)), []);
      for (const client of clients) t.same(await client.replies(1), [full]);
      t.ok(performance.now() - begin >= 5000, 'after five seconds');
      for (const client of clients) await client.end();
    },
    { limits: { connectionsPerUser: 1 } },
  ),
);

t.test('another user is told at once meanwhile, and so is the first one a second later', (t) => {
  let account = 7;
  return withServer(
    exampleService(),
    async (fixture) => {
      const clients = await storm(fixture, 20);
      account = 8;
      const own = fixture.raw();
      own.send(call('Nothing'));
      t.same(await own.replies(1), [nothing]);
      const late = fixture.raw();
      await late.end();
      t.same(await late.replies(1), [full]);
      t.equal(open(clients).length, 20 - PROMPT);
      account = 7;
      const begin = performance.now();
      while (performance.now() - begin < 1100) await turn();
      const again = fixture.raw();
      await again.end();
      t.equal(open(clients).length, 20 - PROMPT);
    },
    { limits: { connectionsPerUser: 1 }, account: () => account },
  );
});

const ends: [string, (fixture: Fixture, drain: Subject<void>) => void][] = [
  ['a drain', (_, drain) => drain.next()],
  ['the end of the server', (fixture) => fixture.subscription.unsubscribe()],
];

for (const [what, end] of ends) {
  t.test(`${what} does not wait for them: they are told`, (t) => {
    const drain = new Subject<void>();
    return withServer(
      exampleService(),
      async (fixture) => {
        const clients = await storm(fixture, 20);
        end(fixture, drain);
        for (const client of clients) {
          await client.end();
          t.same(await client.replies(1), [full]);
        }
      },
      { limits: { connectionsPerUser: 1 }, drain },
    );
  });
}

t.test('who has more than may wait loses the oldest of them', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const clients = await storm(fixture, PROMPT + MOST);
      t.equal(open(clients).length, MOST);
      const more = await storm(fixture, 3);
      await until('the oldest', () => open(clients).length === MOST - 3);
      t.same(open(clients.slice(0, PROMPT + 3)), []);
      t.equal(open(more).length, 3);
    },
    { limits: { connectionsPerUser: 1 }, acceptBatch: 4096 },
  ),
);

t.test('a few threads close many connections with what was not read of them', (t) => {
  const drain = new Subject<void>();
  return withServer(
    exampleService(),
    async (fixture) => {
      const threads = () => readdirSync('/proc/self/task').length;
      const before = threads();
      const clients = await storm(fixture, 300);
      const device = process.stdin.fd;
      for (const client of open(clients)) client.sendWith([device], call('Nothing'));
      let most = 0;
      drain.next();
      await until('the end of all', () => {
        most = Math.max(most, threads());
        return open(clients).length === 0;
      });
      t.ok(most - before <= 3, `${most - before} threads`);
    },
    { limits: { connectionsPerUser: 1 }, drain },
  );
});

t.test('when one of them hangs, those of its user wait for it, with few descriptors, and nobody else does', (t) => {
  let account = 7;
  const bars = new Set<number>();
  return withServer(
    exampleService(),
    async (fixture) => {
      const threads = () => readdirSync('/proc/self/task').length;
      const before = threads();
      const lingering = new LingeringSocket();
      await storm(fixture, 0);
      const bad = fixture.raw();
      bad.sendWith([lingering.fd.number], call('Nothing'));
      lingering.fd.close();
      await bad.end();
      await until('the event', () => fixture.events.some(({ type }) => type === 'stuck'));
      t.same([...bars], [7]);
      t.equal(threads(), before + 1);
      const descriptors = readdirSync('/proc/self/fd').length;
      for (let round = 0; round < 4; round++) {
        const clients = Array.from({ length: 200 }, () => fixture.raw());
        for (const client of clients) client.send(call('Nothing'));
        await until('their refusals', () => refusals(fixture) >= 1 + 200 * (round + 1));
        for (const client of clients) client[Symbol.dispose]();
      }
      account = 8;
      const other = fixture.raw();
      other.sendBytes(frame(call('Nothing')));
      t.same(await other.replies(1), [nothing]);
      t.equal(threads(), before + 1);
      fixture.subscription.unsubscribe();
      await until('few descriptors', () => readdirSync('/proc/self/fd').length - descriptors < 300);
      t.equal(threads(), before + 1);
      lingering.release();
    },
    { limits: { connectionsPerUser: 1 }, account: () => account, bars, acceptBatch: 4096 },
  );
});
