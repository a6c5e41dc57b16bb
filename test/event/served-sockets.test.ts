import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { Agent, createServer as createHttpServer, get, type IncomingMessage } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { createServer as createHttpsServer, request as requestHttps } from 'node:https';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setImmediate, setTimeout } from 'node:timers/promises';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { promisify } from 'node:util';
import { type ListeningSocket, listenInet, listenUnix, ServedConnections } from '@sdrx/event';
import { Fd, SOCK_SEQPACKET, socketPair } from '@sdrx/linux';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothingSoon } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { until } from '../support/until.js';
import { plainEnvironment } from './run-node.js';

// With its first stream libuv opens a descriptor for itself.
createServer().listen(0).close();

const execute = promisify(execFile);

/** TLS by a key that both have: no certificate is needed. */
const psk = Buffer.alloc(32, 7);
const byKey = { ciphers: 'PSK', maxVersion: 'TLSv1.2' } as const;
const serverKey = { ...byKey, pskCallback: () => psk };
const clientKey = { ...byKey, pskCallback: () => ({ psk, identity: 'test' }), checkServerIdentity: () => undefined };

const never = () => new AbortController().signal;

function portOf({ address }: ListeningSocket): number {
  if (address.family !== 'inet') throw new TypeError('it has no port');
  return address.port;
}

/** Says hi, and ends when the other side does. */
function greeter(): Server {
  return createServer((socket) => socket.write('hi'));
}

/** A client that keeps what it is told. */
function client(port: number): { readonly socket: Socket; text: string } {
  const it = { socket: connect({ port, host: '127.0.0.1' }), text: '' };
  it.socket.setEncoding('latin1').on('data', (text: string) => (it.text += text));
  return it;
}

function numberOf({ count }: ServedConnections): number {
  let number = -1;
  count.subscribe((now) => (number = now)).unsubscribe();
  return number;
}

t.test(
  'it begins paused; what comes while it is paused waits, and what is there goes on',
  leavingNothingSoon(async (t) => {
    using socket = listenInet('127.0.0.1', 0);
    const server = greeter().on('connection', (peer) => peer.on('data', (text) => peer.write(text)));
    const served = new ServedConnections(server).listen(socket.fd);
    t.notOk(served.waiting);
    const first = client(portOf(socket));
    await until(() => served.waiting);
    t.equal(numberOf(served), 0);
    served.resume();
    served.resume();
    await until(() => first.text === 'hi');
    t.notOk(served.waiting);
    served.pause();
    served.pause();
    const second = client(portOf(socket));
    await until(() => served.waiting);
    first.socket.write('there');
    await until(() => first.text === 'hithere');
    t.equal(second.text, '');
    t.equal(numberOf(served), 1);
    served.resume();
    await until(() => second.text === 'hi');
    for (const { socket } of [first, second]) socket.end();
    await served.drain({ signal: never() });
    t.notOk(server.listening);
    const late = client(portOf(socket));
    await until(() => served.waiting);
    served.resume();
    await setImmediate();
    t.notOk(server.listening, 'after a drain nothing is accepted');
    late.socket.destroy();
    await once(late.socket, 'close');
  }),
);

t.test(
  'pausing and resuming in one turn, and a drain while it is paused',
  leavingNothingSoon(async (t) => {
    using socket = listenInet('127.0.0.1', 0);
    const served = new ServedConnections(greeter()).listen(socket.fd);
    served.pause();
    served.resume();
    served.pause();
    await setImmediate();
    const waits = client(portOf(socket));
    await until(() => served.waiting);
    served.resume();
    served.pause();
    served.resume();
    await until(() => waits.text === 'hi');
    served.pause();
    served.resume();
    served.pause();
    let done = false;
    const drained = served.drain({ signal: never() }).then(() => (done = true));
    await setTimeout(20);
    t.notOk(done, 'there is one left');
    waits.socket.end();
    await drained;

    const unused = new ServedConnections(greeter()).listen(socket.fd);
    await unused.drain({ signal: never() });
  }),
);

t.test(
  'none is lost over a thousand pauses under connections, however soon it is resumed',
  { timeout: 120_000 },
  leavingNothingSoon(async (t) => {
    using socket = listenInet('127.0.0.1', 0);
    const server = createServer((peer) => peer.end('hi'));
    let accepted = 0;
    server.on('connection', () => accepted++);
    const served = new ServedConnections(server).listen(socket.fd);
    const program = programPath('./programs/connect-and-read.js', import.meta.url);
    const clients = execute(process.execPath, [program, String(portOf(socket)), '16'], { env: plainEnvironment });
    await until(() => served.waiting);
    let met = 0;
    for (let pauses = 0; pauses < 1000; pauses++) {
      served.resume();
      // Each length of a turn, and also between two connections of one.
      if (pauses % 3 === 0) await setImmediate();
      else if (pauses % 3 === 1) await once(server, 'connection');
      else await setTimeout(1);
      served.pause();
      if (served.waiting) met++;
    }
    clients.child.stdin?.end();
    served.resume();
    t.strictSame(JSON.parse((await clients).stdout), { hi: accepted });
    t.ok(met >= 100, `${met} pauses met somebody who waits, of ${accepted} connections`);
    await served.drain({ signal: never() });
  }),
);

t.test(
  'at most so many at a time: those beyond wait in the socket',
  leavingNothingSoon(async (t) => {
    using socket = listenInet('127.0.0.1', 0);
    const served = new ServedConnections(greeter()).listen(socket.fd, { atMost: 2 });
    const most: number[] = [];
    served.count.subscribe((count) => most.push(count));
    served.resume();
    const clients = Array.from({ length: 5 }, () => client(portOf(socket)));
    const greeted = () => clients.filter(({ text }) => text === 'hi');
    for (let count = 2; count <= 5; count++) {
      await until(() => greeted().length === count);
      t.equal(served.waiting, count < 5);
      greeted()
        .find(({ socket }) => !socket.writableEnded)
        ?.socket.end();
    }
    served.pause();
    for (const { socket } of clients) socket.end();
    await until(() => numberOf(served) === 0);
    t.equal(Math.max(...most), 2);
    await setImmediate();
    t.equal(served.waiting, false);
    await served.drain({ signal: never() });
  }),
);

t.test(
  'HTTP: idle connections that are kept outlive a pause, and the server has its time-outs',
  leavingNothingSoon(async (t) => {
    using folder = new Folder();
    using socket = listenUnix(folder.join('http'));
    const server = createHttpServer({ connectionsCheckingInterval: 20, headersTimeout: 200 }, (_, response) =>
      response.end('done'),
    );
    const served = new ServedConnections(server).listen(socket.fd);
    served.resume();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const ask = async () => {
      const request = get({ socketPath: folder.join('http'), agent });
      const [response] = (await once(request, 'response')) as [IncomingMessage];
      response.resume();
      await once(response, 'end');
      return [response.statusCode, request.reusedSocket];
    };
    t.strictSame(await ask(), [200, false]);
    for (let count = 0; count < 3; count++) {
      served.pause();
      t.strictSame(await ask(), [200, true]);
      served.resume();
    }
    const mute = connect(folder.join('http'));
    let text = '';
    mute.setEncoding('latin1').on('data', (data: string) => (text += data));
    mute.write('GET / HTTP/1.1\r\n');
    await once(mute, 'close');
    t.match(text, /^HTTP\/1.1 408 /);
    await served.drain({ signal: never() });
    agent.destroy();
    await setImmediate();
  }),
);

t.test(
  'HTTP/2, HTTPS and TLS do the same; a handshake under way counts',
  leavingNothingSoon(async (t) => {
    {
      using socket = listenInet('127.0.0.1', 0);
      const served = new ServedConnections(createHttp2Server((_, response) => response.end('done'))).listen(socket.fd);
      served.resume();
      const session = connectHttp2(`http://127.0.0.1:${portOf(socket)}`);
      for (let count = 0; count < 2; count++) {
        const stream = session.request({ ':path': '/' }).resume();
        await once(stream, 'end');
        served.pause();
      }
      const [closed] = [once(session, 'close'), served.drain({ signal: never() })];
      await closed;
    }
    {
      using socket = listenInet('127.0.0.1', 0);
      const server = createHttpsServer(serverKey, (_, response) => response.end('done'));
      const served = new ServedConnections(server).listen(socket.fd);
      for (let count = 0; count < 2; count++) {
        served.resume();
        const port = portOf(socket);
        const request = requestHttps({ port, host: '127.0.0.1', ...clientKey, agent: false }).end();
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        response.resume();
        served.pause();
        await once(response, 'close');
      }
      await served.drain({ signal: never() });
    }
    {
      using socket = listenInet('127.0.0.1', 0);
      const served = new ServedConnections(createTlsServer(serverKey, (peer) => peer.write('hi')));
      served.listen(socket.fd).resume();
      const plain = client(portOf(socket));
      await until(() => numberOf(served) === 1);
      plain.socket.destroy();
      await until(() => numberOf(served) === 0);
      const secure = connectTls({ port: portOf(socket), host: '127.0.0.1', ...clientKey });
      await once(secure, 'data');
      served.pause();
      t.equal(numberOf(served), 1);
      secure.end();
      await served.drain({ signal: never() });
      await setImmediate();
    }
  }),
);

t.test(
  'one object of hooks tells its servers apart',
  leavingNothingSoon(async (t) => {
    const told: [unknown, string][] = [];
    using socket = listenInet('127.0.0.1', 0);
    using other = listenInet('127.0.0.1', 0);
    const hooks = {
      connection: (peer: Socket, server: unknown) => {
        told.push([server, 'connection']);
        peer.end();
      },
      upgraded: (peer: { end(): void }, _: IncomingMessage, server: unknown) => {
        told.push([server, 'upgraded']);
        peer.end();
      },
    };
    const plain = greeter();
    const http = createHttpServer().on('upgrade', (_, peer) => peer.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
    const all = [new ServedConnections(plain, hooks).listen(socket.fd), new ServedConnections(http, hooks)];
    all[1]?.listen(other.fd);
    for (const served of all) served.resume();
    const [first, second] = [client(portOf(socket)), client(portOf(other))];
    second.socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    await until(() => first.text !== '' && second.text !== '');
    await Promise.all(all.map((served) => served.drain({ signal: never() })));
    t.strictSame(
      told.map(([server, hook]) => [server === plain, server === http, hook]),
      [
        [true, false, 'connection'],
        [false, true, 'upgraded'],
      ],
    );
  }),
);

t.test(
  'what it can not take connections from it says',
  leavingNothingSoon((t) => {
    using datagram = listenInet('127.0.0.1', 0, { type: 'datagram' });
    const [left, right] = socketPair(SOCK_SEQPACKET);
    using socket = listenInet('127.0.0.1', 0);
    const refused = (fd: Fd) =>
      t.throws(() => new ServedConnections(greeter()).listen(fd), /must be a listening stream/);
    refused(datagram.fd);
    refused(left);
    left.close();
    right.close();
    t.throws(() => new ServedConnections(greeter()).listen(left), { code: 'EBADF' });
    const served = new ServedConnections(greeter());
    t.throws(() => served.resume(), /give one to `listen`/);
    t.throws(() => served.pause(), /give one to `listen`/);
    t.throws(() => served.waiting, /give one to `listen`/);
    t.throws(() => served.listen(socket.fd).listen(socket.fd), /listens already/);
    using given = new Fd(socket.fd.take());
    t.throws(() => served.resume(), { code: 'EBADF' }, 'the descriptor was given away');
    t.throws(() => served.waiting, { code: 'EBADF' });
    t.ok(given);
  }),
);
