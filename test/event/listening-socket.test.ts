import { once } from 'node:events';
import { existsSync, lstatSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, connect as dial } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ListeningSocket, listenInet, listenUnix } from '@sdrx/event';
import { accept, bind, connect, describeFd, Fd, O_NONBLOCK, statusFlags, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';

const folder = mkdtempSync(join(tmpdir(), 'sdrx-listen-'));
const path = join(folder, 'socket');
t.teardown(() => rmSync(folder, { recursive: true }));
const mode = () => lstatSync(path).mode & 0o777;

/** Whether somebody takes a connection there. */
function isServed(): boolean {
  using client = unixSocket();
  connect(client.number, path);
  return true;
}

t.test(
  'a path is there with its mode and owner while the socket is',
  leavingNothing((t) => {
    const before = process.umask(0o077);
    {
      using socket = listenUnix(path);
      t.equal(mode(), 0o666, 'whatever the umask');
      t.strictSame(socket.address, { family: 'unix', path });
      t.match(describeFd(socket.fd.number), { type: 'stream', listening: true, address: { path } });
      t.ok(statusFlags(socket.fd.number) & O_NONBLOCK);
      using client = unixSocket();
      connect(client.number, path);
      accept(socket.fd.number)?.close();
    }
    t.notOk(existsSync(path));
    process.umask(before);
    {
      using _socket = listenUnix(path, { mode: 0o640 });
      t.equal(mode(), 0o640);
    }
    for (const type of ['datagram', 'seqpacket'] as const) {
      using socket = listenUnix(path, { type });
      t.match(describeFd(socket.fd.number), { type, listening: type === 'seqpacket' });
    }
    using abstract = listenUnix(`@${path}`);
    t.match(describeFd(abstract.fd.number), { address: { path: `@${path}` } });
    t.strictSame(readdirSync(folder), []);
  }),
);

t.test('root gives it to another user', needsRoot, (t) => {
  using _socket = listenUnix(path, { owner: { uid: 1000, gid: 1001 }, mode: 0o600 });
  t.match(lstatSync(path), { uid: 1000, gid: 1001 });
  t.equal(mode(), 0o600);
  t.end();
});

t.test(
  'a stale file is replaced, a served one never is, nor anything else',
  leavingNothing((t) => {
    {
      using stale = unixSocket();
      bind(stale.number, path);
    }
    {
      using socket = listenUnix(path);
      t.ok(isServed());
      t.throws(() => listenUnix(path), { code: 'EADDRINUSE', message: new RegExp(path) });
      t.throws(() => listenUnix(path, { type: 'datagram' }), { code: 'EADDRINUSE' }, 'also of another type');
      t.ok(isServed());
      using _abstract = listenUnix(`@${path}`);
      t.throws(() => listenUnix(`@${path}`), { code: 'EADDRINUSE' });
      socket.leave();
      t.ok(existsSync(path), 'who leaves it leaves its path');
    }
    {
      using socket = listenUnix(path);
      t.ok(socket);
    }
    writeFileSync(path, '');
    t.throws(() => listenUnix(path), { code: 'EADDRINUSE' });
    t.ok(lstatSync(path).isFile());
    rmSync(path);
    symlinkSync('/nonexistent', path);
    t.throws(() => listenUnix(path), { code: 'EADDRINUSE' });
    t.ok(lstatSync(path).isSymbolicLink());
    rmSync(path);
    t.strictSame(readdirSync(folder), []);
  }),
);

t.test(
  'a socket with a full queue is served',
  leavingNothing((t) => {
    using socket = listenUnix(path, { backlog: 0 });
    const clients = Array.from({ length: 3 }, () => unixSocket());
    for (const client of clients) {
      try {
        connect(client.number, path);
      } catch {
        break;
      }
    }
    t.throws(() => listenUnix(path), { code: 'EADDRINUSE' });
    for (const client of clients) client.close();
    t.ok(socket);
  }),
);

t.test(
  'at its end a path that is somebody else’s by now stays',
  leavingNothing((t) => {
    const first = listenUnix(path);
    rmSync(path);
    using _second = listenUnix(path);
    first[Symbol.dispose]();
    t.ok(isServed());
    first[Symbol.dispose]();
  }),
);

t.test(
  'a path goes with its socket, also if the descriptor was given away',
  leavingNothing((t) => {
    const socket = listenUnix(path);
    using _taken = new Fd(socket.fd.take());
    socket[Symbol.dispose]();
    t.notOk(existsSync(path));
  }),
);

t.test(
  'errors close what was opened',
  leavingNothing((t) => {
    t.throws(() => listenUnix(join(folder, 'no', 'such')), { code: 'ENOENT' });
    t.throws(() => listenUnix(`/${'x'.repeat(108)}`), { code: 'EMSGSIZE' });
    t.throws(() => listenInet('192.0.2.1', 0), { code: 'EADDRNOTAVAIL', message: /192\.0\.2\.1/ });
    t.throws(() => listenInet('example.org', 0), { code: 'EINVAL' });
  }),
);

t.test('an address of IPv4 or IPv6 is listened at, by Node too', async (t) => {
  const portOf = ({ address }: ListeningSocket) =>
    address.family === 'inet' || address.family === 'inet6' ? address.port : 0;
  using socket = listenInet('127.0.0.1', 0);
  t.match(describeFd(socket.fd.number), { family: 'inet', type: 'stream', listening: true, address: socket.address });
  t.ok(portOf(socket) > 0);
  t.throws(() => listenInet('127.0.0.1', portOf(socket)), { code: 'EADDRINUSE' });
  const server = createServer((connection) => connection.end('hello')).listen({ fd: socket.fd.take() });
  await once(server, 'listening');
  const client = dial(portOf(socket), '127.0.0.1');
  t.equal(String(await once(client, 'data')), 'hello');
  server.close();
  await once(server, 'close');
});

t.test(
  'options of IPv6 and of shared ports',
  leavingNothing((t) => {
    using both = listenInet('::', 0, { v6only: false });
    const { port } = both.address as { port: number };
    t.throws(() => listenInet('127.0.0.1', port), { code: 'EADDRINUSE' }, 'for IPv4 too');
    using six = listenInet('::1', 0, { v6only: true });
    using _four = listenInet('127.0.0.1', (six.address as { port: number }).port);
    using shared = listenInet('127.0.0.1', 0, { reusePort: true });
    using _more = listenInet('127.0.0.1', (shared.address as { port: number }).port, { reusePort: true });
    using datagram = listenInet('127.0.0.1', 0, { type: 'datagram' });
    t.match(describeFd(datagram.fd.number), { type: 'datagram', listening: false });
    t.throws(() => listenInet('127.0.0.1', (datagram.address as { port: number }).port, { type: 'datagram' }), {
      code: 'EADDRINUSE',
    });
  }),
);
