import { fstatSync } from 'node:fs';
import { socketPair } from '@sdrx/linux';
import { NEVER } from 'rxjs';
import t from 'tap';
import { privateDirty } from '../support/private-dirty.js';
import { call, exampleService } from './example.js';
import { frame, openFds, systemError, turn, until, withServer } from './fixture.js';

const MEGABYTE = 1 << 20;
const nothing = { parameters: {} };

t.test('what is kept of messages that do not end is given back when their clients leave', (t) =>
  withServer(exampleService(), async (fixture) => {
    const before = privateDirty(process.pid);
    const part = Buffer.alloc(64 * 1024, ' ');
    const clients = Array.from({ length: 60 }, () => fixture.raw());
    for (const client of clients) {
      for (let sent = 0; sent < 2 * MEGABYTE; await turn()) sent += client.sendBytes(part);
    }
    const during = privateDirty(process.pid) - before;
    // Of 120 MB; the heap may have become smaller meanwhile.
    t.ok(during > 60 * 1.5 * 1024, `${during} kB are kept`);
    for (const client of clients) client[Symbol.dispose]();
    const fds = openFds();
    await until('their end', () => openFds() <= fds - 60);
    const after = privateDirty(process.pid) - before;
    t.ok(after < during / 4, `${after} kB of ${during} are left`);
  }),
);

t.test('a message in many small parts is kept in little more than its bytes', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const clients = Array.from({ length: 20 }, () => fixture.raw());
      const before = privateDirty(process.pid);
      for (let sent = 0; sent < 12_000; sent++) {
        for (const client of clients) client.sendBytes(Buffer.from('['));
        await turn();
      }
      const kept = privateDirty(process.pid) - before;
      // An object for each part would take three times that.
      t.ok(kept < 32_000, `${kept} kB for 240 kB`);
    },
    { limits: { messageDepth: 20_000 } },
  ),
);

t.test('nothing is kept of a message that is too deep, nor parsed', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const client = fixture.raw();
      client.sendBytes(Buffer.from('['.repeat(17)));
      await client.end();
      t.same(await client.replies(1), [systemError(48, 'ELNRNG')]);
      t.match(fixture.refusals, [{ reason: 'messageDepth' }]);
      const other = fixture.raw();
      other.sendBytes(frame(`{"method":"org.example.test.Echo","parameters":{"text":"${'['.repeat(1000)}"}}`));
      t.same(await other.replies(1), [{ parameters: { text: '['.repeat(1000) } }]);
    },
    { limits: { messageDepth: 16 } },
  ),
);

t.test('more descriptors than a message may have: with its end it is answered, before that its connection ends', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const [one, other] = socketPair();
      const client = fixture.raw();
      client.sendWith(Array(4).fill(one.number), call('Nothing'));
      client.sendWith(Array(3).fill(one.number), call('Inode', { fd: 2 }));
      const tooMany = systemError(109, 'ETOOMANYREFS');
      t.same(await client.replies(2), [tooMany, { parameters: { inode: fstatSync(one.number).ino, count: 3 } }]);
      client.sendWith(Array(4).fill(one.number), call('Nothing', {}, { oneway: true }));
      client.send(call('Nothing'));
      t.same(await client.replies(1), [nothing]);
      client.sendBytes(Buffer.from('{'), Array(4).fill(one.number));
      await client.end();
      t.same(await client.replies(1), [tooMany]);
      one.close();
      other.close();
    },
    { limits: { messageFds: 3 } },
  ),
);

t.test('a user may have so many descriptors with a server, also over many connections', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const [one, other] = socketPair();
      const clients = Array.from({ length: 4 }, () => fixture.raw());
      for (const client of clients) client.sendBytes(Buffer.from('{'), [one.number, one.number, one.number]);
      await until('the refusal', () => fixture.refusals.length > 0);
      t.match(fixture.refusals, [{ reason: 'fdsPerUser', count: 1 }]);
      const [refused] = clients.filter(({ closed }) => closed);
      t.same(await (refused ?? clients[3])?.replies(1), [systemError(109, 'ETOOMANYREFS')]);
      one.close();
      other.close();
    },
    { limits: { fdsPerUser: 10 } },
  ),
);

t.test('a client that leaves its own end in a message that does not end is gone after the time for one', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const before = openFds();
      for (let round = 0; round < 5; round++) {
        const client = fixture.raw();
        client.sendBytes(Buffer.from('{'), [client.fd]);
        client[Symbol.dispose]();
      }
      await until('their connections', () => fixture.accepted === 5);
      await until('their end', () => openFds() === before);
      t.equal(
        fixture.refusals.reduce((sum, { reason, count }) => sum + (reason === 'messageTime' ? count : 0), 0),
        5,
      );
    },
    { limits: { messageTime: 50 } },
  ),
);

t.test('a client that leaves its own end in a call is gone when that is answered, or its time is over', (t) =>
  withServer(
    exampleService({ Later: () => new Promise(() => {}), Watch: () => NEVER }),
    async (fixture) => {
      const before = openFds();
      const quick = fixture.raw();
      quick.sendWith([quick.fd], call('Nothing'));
      quick[Symbol.dispose]();
      const slow = fixture.raw();
      slow.sendWith([slow.fd], call('Watch', {}, { more: true }));
      slow[Symbol.dispose]();
      await until('their connections', () => fixture.accepted === 2);
      await until('their end', () => openFds() === before);
      t.match(fixture.refusals, [{ reason: 'callTime', count: 1 }]);
    },
    { limits: { callTime: 50 } },
  ),
);
