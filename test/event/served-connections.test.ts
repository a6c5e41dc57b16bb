import { once } from 'node:events';
import { Agent, createServer as createHttpServer, get, type IncomingMessage, type Server } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { type AddressInfo, connect, createServer as createNetServer, type Socket } from 'node:net';
import { type NodeServer, ServedConnections } from '@sdrx/event';
import t from 'tap';
import { until } from '../support/until.js';

const portOf = (server: NodeServer) => (server.address() as AddressInfo).port;
const never = () => new AbortController().signal;

async function listening<S extends NodeServer>(server: S): Promise<S> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

/** A client that sends and keeps what comes. */
class Client {
  text = '';
  ended = false;
  readonly #socket: Socket;

  constructor(server: NodeServer | number) {
    const port = typeof server === 'number' ? server : portOf(server);
    this.#socket = connect({ port, host: '127.0.0.1', allowHalfOpen: false });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (data: string) => (this.text += data));
    this.#socket.on('end', () => (this.ended = true));
    this.#socket.on('error', () => (this.ended = true));
  }

  send(text: string): this {
    this.#socket.write(text);
    return this;
  }

  request(path: string, headers = ''): this {
    return this.send(`GET ${path} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
  }

  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Answers at once, or as slowly as the path says. */
function answering(release?: Promise<void>): Server {
  return createHttpServer((request, response) => {
    if (request.url === '/held') {
      void release?.then(() => response.end('done'));
      return;
    }
    const slow = /^\/slow\/(\d+)$/.exec(request.url ?? '')?.[1];
    setTimeout(() => response.end('done'), Number(slow ?? 0)).unref();
  });
}

function countOf(connections: ServedConnections): () => number {
  let last = 0;
  connections.count.subscribe((count) => {
    last = count;
  });
  return () => last;
}

t.test('a drain lets responses end and says so, closes idle and unused connections, and accepts no more', async (t) => {
  let release = () => {};
  const server = await listening(
    answering(
      new Promise((resolve) => {
        release = resolve;
      }),
    ),
  );
  const connections = new ServedConnections(server);
  const count = countOf(connections);
  const [slow, idle, unused] = [
    new Client(server).request('/held'),
    new Client(server).request('/'),
    new Client(server),
  ];
  await until(() => idle.text.endsWith('done') && count() === 3);
  const begin = performance.now();
  const port = portOf(server);
  const drained = connections.drain({ signal: never() });
  const late = new Client(port);
  await until(() => late.ended);
  await until(() => idle.ended && unused.ended);
  t.notOk(slow.ended);
  release();
  await drained;
  t.match(slow.text, /^HTTP\/1.1 200[\s\S]*Connection: close[\s\S]*done$/);
  t.notMatch(idle.text, /Connection: close/);
  t.equal(count(), 0);
  t.ok(performance.now() - begin < 4000, 'Node waits for longer');
});

t.test('a request that comes when the drain has begun is answered, as the last one', async (t) => {
  const server = await listening(answering());
  const connections = new ServedConnections(server);
  const idle = new Client(server).request('/');
  await until(() => idle.text.endsWith('done'));
  const drained = connections.drain({ signal: never() });
  idle.text = '';
  idle.request('/');
  await drained;
  t.match(idle.text, /Connection: close[\s\S]*done$/);
});

t.test('so is one that the program answers before it returns', async (t) => {
  const server = await listening(createHttpServer((_, response) => response.end('done')));
  const connections = new ServedConnections(server);
  const idle = new Client(server).request('/');
  await until(() => idle.text.endsWith('done'));
  const drained = connections.drain({ signal: never() });
  idle.text = '';
  idle.request('/');
  await drained;
  await until(() => idle.ended);
  t.match(idle.text, /Connection: close[\s\S]*done$/);
});

t.test('a client of Node that keeps its connection loses no request over a drain', async (t) => {
  const server = await listening(answering());
  const connections = new ServedConnections(server);
  const agent = new Agent({ keepAlive: true });
  const [response] = (await once(get({ port: portOf(server), agent, path: '/slow/100' }), 'response')) as [
    IncomingMessage,
  ];
  response.resume();
  await once(response, 'end');
  const request = get({ port: portOf(server), agent, path: '/slow/200' });
  await once(request, 'socket');
  await new Promise((resolve) => setTimeout(resolve, 50));
  const drained = connections.drain({ signal: never() });
  const [last] = (await once(request, 'response')) as [IncomingMessage];
  t.equal(last.headers.connection, 'close');
  last.resume();
  await drained;
  agent.destroy();
});

t.test('without more time all are destroyed', async () => {
  const server = await listening(answering());
  const connections = new ServedConnections(server);
  const count = countOf(connections);
  const slow = new Client(server).request('/slow/60000');
  await until(() => count() === 1);
  const abort = new AbortController();
  const drained = connections.drain({ signal: abort.signal });
  setTimeout(() => abort.abort(), 50);
  await drained;
  await until(() => slow.ended);
  const again = await listening(answering());
  const others = new ServedConnections(again);
  const other = new Client(again).request('/slow/60000');
  await until(() => countOf(others)() === 1);
  await others.drain({ signal: AbortSignal.abort() });
  await until(() => other.ended);
});

t.test('upgraded connections count, a WebSocket is told that the service restarts', async (t) => {
  const server = answering();
  const connections = new ServedConnections(server);
  server.on('upgrade', (request, socket) => {
    socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`);
    socket.on('end', () => socket.end());
  });
  await listening(server);
  const count = countOf(connections);
  const websocket = new Client(server).request('/', 'Connection: Upgrade\r\nUpgrade: WebSocket\r\n');
  const other = new Client(server).request('/', 'Connection: Upgrade\r\nUpgrade: other\r\n');
  await until(() => /101/.test(websocket.text) && /101/.test(other.text));
  let done = false;
  const drained = connections.drain({ signal: never() }).then(() => (done = true));
  await until(() => websocket.text.endsWith('\x88\x02\x03\xf4'));
  websocket.end();
  await until(() => count() === 1);
  t.match(other.text, /other\r\n\r\n$/);
  t.notOk(done, 'the other one is waited for');
  other.end();
  await drained;
});

t.test('a hook says goodbye to what was upgraded in its own words', async (t) => {
  const server = answering();
  server.on('upgrade', (_, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
  const connections = new ServedConnections(server, { upgraded: (socket, { url }) => socket.end(`bye ${url}`) });
  await listening(server);
  const client = new Client(server).request('/here', 'Connection: Upgrade\r\nUpgrade: websocket\r\n');
  await until(() => /101/.test(client.text));
  await connections.drain({ signal: never() });
  t.match(client.text, /bye \/here$/);
});

t.test('requests with an Upgrade are answered as before where nobody listens for it', async () => {
  const server = await listening(answering());
  const connections = new ServedConnections(server);
  const client = new Client(server).request('/', 'Connection: Upgrade\r\nUpgrade: websocket\r\n');
  await until(() => client.text.endsWith('done'));
  await connections.drain({ signal: never() });
});

t.test('plain connections are waited for, or told by a hook', async () => {
  const server = createNetServer((socket) => socket.on('data', (data) => socket.write(data)));
  const connections = new ServedConnections(server, { connection: (socket) => socket.write('bye') });
  await listening(server);
  const client = new Client(server).send('hello');
  await until(() => client.text === 'hello');
  const drained = connections.drain({ signal: never() });
  await until(() => client.text === 'hellobye');
  client.end();
  await drained;
});

t.test('a session of HTTP/2 ends when its streams have, and is told before', async (t) => {
  const server = createHttp2Server((_, response) => setTimeout(() => response.end('done'), 300));
  const connections = new ServedConnections(server);
  await listening(server);
  const session = connectHttp2(`http://127.0.0.1:${portOf(server)}`);
  const goaways: number[] = [];
  session.on('goaway', (code, last) => goaways.push(last ?? code));
  const stream = session.request({ ':path': '/' });
  stream.setEncoding('utf8');
  let text = '';
  stream.on('data', (data: string) => (text += data));
  await until(() => countOf(connections)() === 1);
  const closed = once(session, 'close');
  await connections.drain({ signal: never() });
  await closed;
  t.equal(text, 'done');
  t.ok(goaways.length >= 1);
});
