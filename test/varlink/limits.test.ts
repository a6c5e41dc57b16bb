import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { MAX_MESSAGE } from '@sdrx/varlink';
import { EMPTY, interval, map, Observable } from 'rxjs';
import t from 'tap';
import { call, exampleService } from './example.js';
import { type Fixture, frame, openFds, systemError, turn, until, withServer } from './fixture.js';

/** A call of Echo that has `size` bytes with its NUL. */
function echoOfSize(size: number): Buffer {
  const empty = frame(call('Echo', { text: '' })).length;
  return frame(call('Echo', { text: 'x'.repeat(size - empty) }));
}

/** Sends a lot through Node's own socket, and gives what came back. */
async function exchange(fixture: Fixture, bytes: Buffer, done: (size: number) => boolean): Promise<Buffer> {
  const socket = connect(fixture.path);
  const chunks: Buffer[] = [];
  let size = 0;
  let closed = false;
  socket.on('data', (chunk) => {
    chunks.push(chunk);
    size += chunk.length;
  });
  socket.on('close', () => {
    closed = true;
  });
  socket.on('error', () => {});
  socket.write(bytes);
  await until('the answer', () => closed || done(size));
  socket.destroy();
  await until('the end', () => closed);
  return Buffer.concat(chunks);
}

t.test('a call and a reply of megabytes go through, although the socket takes only a part at a time', (t) =>
  withServer(exampleService(), async (fixture) => {
    const size = 5_000_000;
    const reply = await exchange(fixture, echoOfSize(size), (got) => got > size - 100);
    await turn();
    t.ok(reply.toString().startsWith('{"parameters":{"text":"xxx'));
    t.same(fixture.failures, []);
  }),
);

t.test('a call of exactly 16 MiB is understood', (t) =>
  withServer(exampleService({ Echo: ({ text }) => ({ text: String(text.length) }) }), async (fixture) => {
    const reply = await exchange(fixture, echoOfSize(MAX_MESSAGE), (got) => got > 0);
    const length = MAX_MESSAGE - frame(call('Echo', { text: '' })).length;
    t.equal(reply.toString(), `{"parameters":{"text":"${length}"}}\0`);
  }),
);

const TOO_LONG = `${JSON.stringify(systemError(90, 'EMSGSIZE'))}\0`;

t.test('a call of one byte more is told so, and ends its connection', (t) =>
  withServer(exampleService({ Echo: ({ text }) => ({ text: String(text.length) }) }), async (fixture) => {
    const reply = await exchange(fixture, echoOfSize(MAX_MESSAGE + 1), () => false);
    t.equal(reply.toString(), TOO_LONG);
    t.same(fixture.failures, []);
    t.same(fixture.refusals, [{ type: 'refused', uid: process.getuid?.(), reason: 'messageSize', count: 1 }]);
  }),
);

t.test('a message that never ends is cut off at 16 MiB', (t) =>
  withServer(exampleService(), async (fixture) => {
    const reply = await exchange(fixture, Buffer.alloc(MAX_MESSAGE + 100_000, ' '), () => false);
    t.equal(reply.toString(), TOO_LONG);
  }),
);

t.test('a client that never reads its replies is not read from either, and others are served', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.stopReading();
    const calls = frame(...Array.from({ length: 50 }, () => call('Echo', { text: 'x'.repeat(1000) })));
    let refused = 0;
    let sent = 0;
    // Both sockets fill up; then the client's takes nothing more, in spite of all turns it is given.
    while (refused < 100) {
      const count = client.sendBytes(calls);
      sent += count;
      refused = count === 0 ? refused + 1 : 0;
      await turn();
    }
    t.ok(sent < 4_000_000, `${sent} bytes were taken`);
    const other = fixture.raw();
    other.send(call('Echo', { text: 'alive' }));
    t.same(await other.replies(1), [{ parameters: { text: 'alive' } }]);
  }),
);

t.test('a client that begins to read late gets every reply', (t) =>
  withServer(exampleService(), async (fixture) => {
    const client = fixture.raw();
    client.stopReading();
    let sent = 0;
    for (let refused = 0; refused < 20; ) {
      const bytes = frame(call('Echo', { text: 'x'.repeat(1000), number: sent }));
      const count = client.sendBytes(bytes);
      if (count === bytes.length) sent++;
      // A part of a message: what follows would be garbage.
      else if (count > 0) throw new Error('a short message was cut');
      else refused++;
      await turn();
    }
    client.read();
    const replies = await client.replies(sent);
    t.equal(replies.length, sent);
    t.match(replies.at(-1), { parameters: { number: sent - 1 } });
  }),
);

t.test('a client that does not read a flood of replies to one call is cut off', (t) => {
  let stopped = false;
  const service = exampleService({
    Count: ({ to }) =>
      new Observable<{ value: number }>((subscriber) => {
        subscriber.add(() => {
          stopped = true;
        });
        subscriber.add(
          interval(0)
            .pipe(map((value) => ({ value, padding: 'x'.repeat(to) })))
            .subscribe(subscriber),
        );
      }),
  });
  return withServer(service, async (fixture) => {
    const client = fixture.raw();
    client.stopReading();
    client.send(call('Count', { to: 1_000_000 }, { more: true }));
    await until('the server to give up', () => stopped);
    t.same(fixture.failures, []);
  });
});

t.test('a reply that is too long ends the connection, not the server', (t) =>
  withServer(exampleService({ Echo: () => ({ text: 'x'.repeat(MAX_MESSAGE) }) }), async (fixture) => {
    const client = fixture.raw();
    client.send(call('Echo', { text: 'x' }));
    await client.end();
    const other = fixture.raw();
    other.send(call('Nothing'));
    t.same(await other.replies(1), [{ parameters: {} }]);
  }),
);

t.test('an Observable without a value is an empty reply where none is declared', (t) =>
  withServer(exampleService({ Nothing: () => EMPTY }), async (fixture) => {
    const client = fixture.raw();
    client.send(call('Nothing'));
    t.same(await client.replies(1), [{ parameters: {} }]);
  }),
);

t.test('a thousand idle connections keep no one waiting, and cost their descriptor and little memory', (t) =>
  withServer(
    exampleService(),
    async (fixture) => {
      const before = openFds();
      const clients = Array.from({ length: 1000 }, () => fixture.raw());
      await until('a thousand connections', () => fixture.accepted === 1000);
      t.equal(openFds(), before + 2000);
      const client = fixture.raw();
      client.send(call('Echo', { text: 'alive' }));
      t.same(await client.replies(1), [{ parameters: { text: 'alive' } }]);
      for (const idle of clients) idle[Symbol.dispose]();
      await until('their end', () => openFds() === before + 2);
    },
    { limits: { connectionsPerUser: 2000 } },
  ),
);

t.test('a client killed in the middle of a message leaves nothing behind', (t) =>
  withServer(exampleService(), async (fixture) => {
    const before = openFds();
    const program = `const s = require('net').connect(process.argv[1], () => s.write('{"method":"org.exa'))`;
    const child = spawn(process.execPath, ['-e', program, fixture.path], { stdio: 'ignore' });
    await until('its connection', () => fixture.accepted === 1);
    await turn();
    child.kill('SIGKILL');
    await until('its end', () => child.signalCode !== null);
    await until(`${before} descriptors`, () => openFds() <= before);
    const client = fixture.raw();
    client.send(call('Nothing'));
    t.same(await client.replies(1), [{ parameters: {} }]);
    t.same(fixture.failures, []);
  }),
);

t.test('out of descriptors, the server waits without spinning, and accepts again when one is free', (t) =>
  withServer(exampleService(), async (fixture) => {
    const limits = readFileSync('/proc/self/limits', 'utf8').match(/^Max open files\s+(\d+)\s+(\d+)/m);
    const soft = limits?.[1] ?? '1024';
    // Started while there are descriptors: at the limit no program can be.
    const lift = spawn('sh', ['-c', 'read go; exec prlimit --pid "$0" --nofile="$1":', String(process.pid), soft], {
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    const lifted = once(lift, 'exit');
    const before = openFds();
    const client = fixture.raw();
    client.send(call('Nothing'));
    await client.replies(1);
    // Two sockets of clients fit, not their other ends.
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${openFds() + 2}:`], { stdio: 'ignore' });
    const waiting = [fixture.raw(), fixture.raw(), fixture.raw()];
    await until('the warning', () => fixture.events.some(({ type }) => type === 'exhausted'));
    for (let turns = 0; turns < 200; turns++) await turn();
    t.ok(fixture.events.filter(({ type }) => type === 'exhausted').length < 5, 'it does not try all the time');
    client.send(call('Echo', { text: 'still here' }));
    t.same(await client.replies(1), [{ parameters: { text: 'still here' } }]);
    client[Symbol.dispose]();
    waiting[2]?.[Symbol.dispose]();
    await until('a connection', () => fixture.accepted >= 2);
    waiting[0]?.send(call('Nothing'));
    t.same(await waiting[0]?.replies(1), [{ parameters: {} }]);
    for (const each of waiting) each[Symbol.dispose]();
    await until('the other ends to close', () => openFds() <= before);
    lift.stdin.end('go\n');
    t.same(await lifted, [0, null]);
  }),
);
