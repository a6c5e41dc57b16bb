import { chmodSync, existsSync, openSync, readFileSync } from 'node:fs';
import {
  accept,
  bind,
  connect,
  Fd,
  isListeningUnixStream,
  isReadable,
  isSystemError,
  libc,
  listen,
  makeSocket,
  O_NONBLOCK,
  O_PATH,
  peerCredentials,
  peerPidfd,
  read,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  setSocketOption,
  shutdown,
  shutdownRead,
  socketPair,
  spawn,
  statusFlags,
  takeSocketError,
  unixAddress,
  unixSocket,
  unreadBytes,
  untakenBytes,
  write,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { errorCode } from '../support/error-code.js';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { runWithLimit } from '../support/run-with-limit.js';
import { waitForExit } from '../support/wait-for-exit.js';

const AF_INET = 2;
const NOBODY = 0xffff_ffff;

const anySocket = libc<(domain: number, type: number, protocol: number) => number>('int socket(int, int, int)');

const text = () => fc.string({ unit: 'binary', minLength: 1, maxLength: 107 });

function listenAt(path: string, backlog?: number): Fd {
  const socket = unixSocket();
  bind(socket.number, path);
  listen(socket.number, backlog);
  return socket;
}

function connectTo(path: string): Fd {
  const socket = unixSocket();
  connect(socket.number, path);
  return socket;
}

t.test('an address holds the path as UTF-8 and an ending NUL', (t) => {
  fc.assert(
    fc.property(text(), (path) => {
      fc.pre(!path.startsWith('@') && !path.includes('\0') && Buffer.byteLength(path) <= 107);
      const address = unixAddress(path);
      return address.readUInt16LE() === 1 && address.subarray(2).equals(Buffer.from(`${path}\0`));
    }),
  );
  t.end();
});

t.test('an abstract address holds a NUL and the name, without an end of its own', (t) => {
  fc.assert(
    fc.property(text(), (name) => {
      fc.pre(Buffer.byteLength(name) <= 107);
      const address = unixAddress(`@${name}`);
      return address.readUInt16LE() === 1 && address.subarray(2).equals(Buffer.from(`\0${name}`));
    }),
  );
  t.end();
});

t.test('107 bytes fit, 108 throw EMSGSIZE with the path', (t) => {
  for (const path of ['x'.repeat(107), `${'ä'.repeat(53)}x`, `@${'x'.repeat(107)}`]) {
    t.equal(unixAddress(path).length, 110);
    t.throws(() => unixAddress(`${path}y`), { code: 'EMSGSIZE', syscall: 'sockaddr_un', subject: `${path}y` });
  }
  t.end();
});

t.test('an empty path, and one with a NUL in it, throw EINVAL', (t) => {
  t.throws(() => unixAddress(''), { code: 'EINVAL' });
  t.throws(() => unixAddress('/run/a\0b'), { code: 'EINVAL', subject: '/run/a\\0b' });
  t.end();
});

t.test(
  'a path is listened on and connected to, whatever characters it has',
  leavingNothing((t) => {
    using folder = new Folder();
    for (const name of ['plain', 'mit Leerzeichen', 'ünï', '漢字', '😀']) {
      const path = folder.join(name);
      using listener = listenAt(path);
      t.ok(existsSync(path));
      using client = connectTo(path);
      using connection = accept(listener.number);
      write(client.number, Buffer.from('hello'));
      t.equal(read(connection?.number ?? -1, Buffer.alloc(9)), 5);
    }
  }),
);

t.test(
  'an abstract name is listened on and connected to',
  leavingNothing((t) => {
    const name = `@sdrx-test-${process.pid}-ünï`;
    using listener = listenAt(name);
    using _client = connectTo(name);
    using connection = accept(listener.number);
    t.ok(connection);
  }),
);

t.test(
  'what is made or accepted is non-blocking',
  leavingNothing((t) => {
    const name = `@sdrx-test-${process.pid}`;
    using listener = listenAt(name);
    using client = connectTo(name);
    using connection = accept(listener.number);
    const [first, second] = socketPair();
    using one = first;
    using two = second;
    for (const fd of [listener, client, connection, one, two]) {
      t.equal(statusFlags(fd?.number ?? -1) & O_NONBLOCK, O_NONBLOCK);
    }
  }),
);

t.test(
  'accept gives nothing when nobody waits',
  leavingNothing((t) => {
    using listener = listenAt(`@sdrx-test-${process.pid}`);
    t.equal(accept(listener.number), undefined);
  }),
);

t.test(
  'accept throws EBADF, ENOTSOCK, and EINVAL for a socket that does not listen',
  leavingNothing((t) => {
    using socket = unixSocket();
    using file = new Fd(openSync('/dev/null', 'r'));
    t.throws(() => accept(9999), { code: 'EBADF', syscall: 'accept4', subject: '9999' });
    t.throws(() => accept(file.number), { code: 'ENOTSOCK' });
    t.throws(() => accept(socket.number), { code: 'EINVAL' });
  }),
);

t.test('without room accept throws EMFILE, and the connection waits', (t) => {
  const program = programPath('./programs/no-room-to-accept.js', import.meta.url);
  t.strictSame(runWithLimit(120, program), { codes: ['EMFILE', 'EMFILE'], accepted: true });
  t.end();
});

t.test(
  'bind throws EADDRINUSE, ENOENT, EINVAL for a socket that is bound',
  leavingNothing((t) => {
    using folder = new Folder();
    const path = folder.join('socket');
    using listener = listenAt(path);
    using socket = unixSocket();
    t.throws(() => bind(socket.number, path), { code: 'EADDRINUSE', syscall: 'bind', subject: path });
    t.throws(() => bind(socket.number, folder.join('missing', 'socket')), { code: 'ENOENT' });
    t.throws(() => bind(listener.number, folder.join('other')), { code: 'EINVAL' });
  }),
);

t.test('without the right to, bind and connect throw EACCES', needsRoot, (t) => {
  using folder = new Folder();
  chmodSync(folder.path, 0o700);
  using _listener = listenAt(folder.join('socket'));
  const program = programPath('./programs/socket-as-nobody.js', import.meta.url);
  t.equal(runNode([program, folder.path]).output, 'EACCES EACCES');
  t.end();
});

t.test(
  'listen throws EOPNOTSUPP for a datagram socket, EINVAL for an unbound one, EBADF',
  leavingNothing((t) => {
    using datagrams = unixSocket(SOCK_DGRAM);
    using unbound = unixSocket();
    t.throws(() => listen(datagrams.number), { code: 'EOPNOTSUPP', syscall: 'listen' });
    t.throws(() => listen(unbound.number), { code: 'EINVAL' });
    t.throws(() => listen(9999), { code: 'EBADF' });
  }),
);

t.test(
  'connect throws ENOENT, ECONNREFUSED, EPROTOTYPE',
  leavingNothing((t) => {
    using folder = new Folder();
    const path = folder.join('socket');
    using socket = unixSocket();
    t.throws(() => connect(socket.number, path), { code: 'ENOENT', syscall: 'connect', subject: path });
    listenAt(path).close();
    t.throws(() => connect(socket.number, path), { code: 'ECONNREFUSED' });
    using datagrams = unixSocket(SOCK_DGRAM);
    using _listener = listenAt(folder.join('other'));
    t.throws(() => connect(datagrams.number, folder.join('other')), { code: 'EPROTOTYPE' });
  }),
);

t.test(
  'connect throws EAGAIN when the backlog is full',
  leavingNothing((t) => {
    const name = `@sdrx-test-${process.pid}`;
    using listener = listenAt(name, 1);
    const clients = [connectTo(name), connectTo(name)];
    using late = unixSocket();
    t.throws(() => connect(late.number, name), { code: 'EAGAIN', subject: name });
    accept(listener.number)?.close();
    connect(late.number, name);
    for (const client of clients) client.close();
  }),
);

t.test(
  'the peer of a pair and of a connection is this process',
  leavingNothing((t) => {
    const us = { pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() };
    const [first, second] = socketPair();
    using one = first;
    using _two = second;
    t.strictSame(peerCredentials(one.number), us);
    const name = `@sdrx-test-${process.pid}`;
    using listener = listenAt(name);
    using client = connectTo(name);
    using connection = accept(listener.number);
    t.strictSame(peerCredentials(client.number), us);
    t.strictSame(peerCredentials(connection?.number ?? -1), us);
  }),
);

t.test(
  'a pidfd of the peer is of this process',
  leavingNothing((t) => {
    using pidfd = socketPairPidfd();
    if (pidfd === undefined) {
      t.pass('this kernel has none to give');
      return;
    }
    t.match(readFileSync(`/proc/self/fdinfo/${pidfd.number}`, 'ascii'), new RegExp(`^Pid:\\s*${process.pid}$`, 'm'));
    t.notOk(isReadable(pidfd.number), 'which runs');
  }),
);

t.test(
  'a pidfd of the peer throws ESRCH where there is none, ENOTSOCK, EBADF',
  leavingNothing((t) => {
    using unconnected = unixSocket();
    using file = new Fd(openSync('/dev/null', 'r'));
    const known = errorCode(() => peerPidfd(unconnected.number));
    using own = socketPairPidfd();
    t.equal(known, own === undefined ? '' : 'ESRCH');
    t.throws(() => peerPidfd(file.number), { code: 'ENOTSOCK', syscall: 'getsockopt' });
    t.throws(() => peerPidfd(9999), { code: 'EBADF' });
  }),
);

t.test('the peer is who connected, another user and process', needsRoot, async (t) => {
  const { readable } = await import('../support/readable.js');
  using folder = new Folder();
  chmodSync(folder.path, 0o755);
  using listener = listenAt(folder.join('socket'));
  chmodSync(folder.join('socket'), 0o666);
  const program = programPath('./programs/connect-as-nobody.js', import.meta.url);
  const child = spawn(process.execPath, { args: [program, folder.join('socket')] });
  await readable(listener.number);
  using connection = accept(listener.number);
  t.strictSame(peerCredentials(connection?.number ?? -1), { pid: child.pid, uid: 65534, gid: 65533 });
  waitForExit(child);
  // Kernels since 6.16 have one of a process that is gone, too.
  using pidfd = connection && goneOr(() => peerPidfd(connection.number));
  t.ok(pidfd === undefined || isReadable(pidfd.number), 'its pidfd tells that it has ended, if there is one');
});

/** Of this process; undefined on kernels that have none to give. */
function socketPairPidfd(): Fd | undefined {
  const [one, two] = socketPair();
  try {
    return peerPidfd(one.number);
  } finally {
    one.close();
    two.close();
  }
}

/** Undefined for a process that is gone. */
function goneOr<T>(body: () => T): T | undefined {
  try {
    return body();
  } catch (error) {
    if (isSystemError(error, 'ESRCH')) return undefined;
    throw error;
  }
}

t.test(
  'a socket without a peer has nobody for one',
  leavingNothing((t) => {
    using unconnected = unixSocket();
    using internet = new Fd(anySocket(AF_INET, SOCK_STREAM, 0));
    for (const fd of [unconnected, internet]) {
      t.strictSame(peerCredentials(fd.number), { pid: 0, uid: NOBODY, gid: NOBODY });
    }
  }),
);

t.test(
  'credentials throw ENOTSOCK, EBADF',
  leavingNothing((t) => {
    using file = new Fd(openSync('/dev/null', 'r'));
    t.throws(() => peerCredentials(file.number), { code: 'ENOTSOCK', syscall: 'getsockopt' });
    t.throws(() => peerCredentials(9999), { code: 'EBADF' });
  }),
);

t.test(
  'only a listening stream socket of AF_UNIX is one',
  leavingNothing((t) => {
    using listener = listenAt(`@sdrx-test-${process.pid}`);
    t.ok(isListeningUnixStream(listener.number));
    const [first, second] = socketPair();
    using connected = first;
    using _peer = second;
    using packets = unixSocket(SOCK_SEQPACKET);
    bind(packets.number, `@sdrx-test-${process.pid}-packets`);
    listen(packets.number);
    using internet = new Fd(anySocket(AF_INET, SOCK_STREAM, 0));
    listen(internet.number);
    using unbound = unixSocket();
    using datagrams = unixSocket(SOCK_DGRAM);
    using file = new Fd(openSync('/dev/null', 'r'));
    using path = new Fd(openSync('/', O_PATH));
    for (const other of [connected, packets, internet, unbound, datagrams, file, path]) {
      t.notOk(isListeningUnixStream(other.number));
    }
    t.throws(() => isListeningUnixStream(9999), { code: 'EBADF' });
  }),
);

t.test(
  'an option is set to a number, or throws ENOPROTOOPT, EINVAL, ENOTSOCK, EBADF',
  leavingNothing((t) => {
    const [SOL_SOCKET, SO_PRIORITY] = [1, 12];
    using socket = unixSocket();
    setSocketOption(socket.number, SOL_SOCKET, SO_PRIORITY, 5);
    const script = `import socket; print(socket.socket(fileno=0).getsockopt(${SOL_SOCKET}, ${SO_PRIORITY}))`;
    const [ours, theirs] = socketPair();
    using output = ours;
    const child = spawn('python3', { args: ['-c', script], fds: [socket, theirs, 2] });
    theirs.close();
    waitForExit(child);
    const said = Buffer.alloc(10);
    t.equal(said.toString('latin1', 0, read(output.number, said)), '5\n');
    const code = (fd: number, level: number, name: number, value: number) =>
      errorCode(() => setSocketOption(fd, level, name, value));
    t.equal(code(socket.number, SOL_SOCKET, 9999, 1), 'ENOPROTOOPT');
    const [IPPROTO_TCP, TCP_KEEPCNT] = [6, 6];
    using inet = makeSocket(AF_INET, SOCK_STREAM);
    t.equal(code(inet.number, IPPROTO_TCP, TCP_KEEPCNT, -1), 'EINVAL');
    t.equal(code(0x7fff_ffff, SOL_SOCKET, SO_PRIORITY, 1), 'EBADF');
    using file = new Fd(openSync('/dev/null', 'r'));
    t.equal(code(file.number, SOL_SOCKET, SO_PRIORITY, 1), 'ENOTSOCK');
  }),
);

t.test(
  'the pending error is taken once',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using socket = first;
    t.equal(takeSocketError(socket.number), 0);
    // Closed with something unread, the other end resets the connection.
    write(socket.number, Buffer.from('unread'));
    second.close();
    t.equal(takeSocketError(socket.number), 104);
    t.equal(takeSocketError(socket.number), 0);
    t.equal(
      errorCode(() => takeSocketError(9999)),
      'EBADF',
    );
  }),
);

t.test(
  'a connection that was shut down for reading still takes what had arrived, and still sends',
  leavingNothing((t) => {
    const [one, other] = socketPair();
    write(other.number, Buffer.from('before'));
    shutdownRead(one.number);
    t.throws(() => write(other.number, Buffer.from('after')), { code: 'EPIPE' });
    t.equal(read(one.number, Buffer.alloc(10)), 6);
    t.equal(read(one.number, Buffer.alloc(10)), 0);
    t.equal(write(one.number, Buffer.from('answer')), 6);
    t.equal(read(other.number, Buffer.alloc(10)), 6);
    one.close();
    other.close();
    using file = new Fd(openSync('/proc/self/exe', 'r'));
    t.throws(() => shutdownRead(file.number), { code: 'ENOTSOCK' });
  }),
);

t.test(
  'of a connection that was shut down what had arrived can be counted and read, and nothing more arrives',
  leavingNothing((t) => {
    const [one, other] = socketPair();
    t.equal(untakenBytes(other.number), 0);
    write(other.number, Buffer.from('before'));
    t.equal(unreadBytes(one.number), 6);
    t.ok(untakenBytes(other.number) >= 6);
    shutdown(one.number);
    t.throws(() => write(other.number, Buffer.from('after')), { code: 'EPIPE' });
    t.equal(unreadBytes(one.number), 6);
    t.equal(read(one.number, Buffer.alloc(10)), 6);
    t.equal(unreadBytes(one.number), 0);
    t.equal(read(one.number, Buffer.alloc(10)), 0);
    t.equal(untakenBytes(other.number), 0);
    one.close();
    other.close();
    using file = new Fd(openSync('/proc/self/exe', 'r'));
    t.throws(() => shutdown(file.number), { code: 'ENOTSOCK' });
  }),
);
