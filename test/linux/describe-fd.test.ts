import { mkdirSync, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  bind,
  bindAddress,
  connect,
  describeFd,
  Epoll,
  eventfd,
  Fd,
  listen,
  localAddress,
  makeSocket,
  memoryFile,
  pidfdOpen,
  pipe,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  socketPair,
  unixSocket,
} from '@sdrx/linux';
import t from 'tap';
import { leavingNothing } from '../support/nothing-left.js';

const AF_INET = 2;
const AF_INET6 = 10;

t.test(
  'sockets are told by family, type, state and address',
  leavingNothing((t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sdrx-describe-'));
    const path = join(folder, 'socket');
    using stream = unixSocket();
    t.strictSame(describeFd(stream.number), {
      ...{ kind: 'socket', family: 'unix', type: 'stream', listening: false },
      ...{ address: { family: 'unix' }, peer: undefined },
    });
    bind(stream.number, path);
    listen(stream.number);
    t.match(describeFd(stream.number), { listening: true, address: { family: 'unix', path }, peer: undefined });
    using client = unixSocket();
    connect(client.number, path);
    t.match(describeFd(client.number), { listening: false, peer: { family: 'unix', path } });
    using abstract = unixSocket(SOCK_SEQPACKET);
    bind(abstract.number, `@${path}`);
    t.match(describeFd(abstract.number), { type: 'seqpacket', address: { family: 'unix', path: `@${path}` } });
    using datagram = unixSocket(SOCK_DGRAM);
    t.match(describeFd(datagram.number), { type: 'datagram' });
    const [one, other] = socketPair();
    t.match(describeFd(one.number), { peer: { family: 'unix' } });
    one.close();
    other.close();
    using inet = makeSocket(AF_INET, SOCK_STREAM);
    bindAddress(inet.number, { family: 'inet', host: '127.0.0.1', port: 0 });
    const bound = localAddress(inet.number);
    t.match(bound, { family: 'inet', host: '127.0.0.1', port: Number });
    t.match(describeFd(inet.number), { family: 'inet', type: 'stream', listening: false, address: bound });
    using inet6 = makeSocket(AF_INET6, SOCK_DGRAM);
    bindAddress(inet6.number, { family: 'inet6', host: '::1', port: 0 });
    t.match(describeFd(inet6.number), { family: 'inet6', type: 'datagram', address: { host: '::1' } });
    rmSync(folder, { recursive: true });
  }),
);

t.test(
  'other descriptors are told by what they stand for',
  leavingNothing((t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sdrx-describe-'));
    mkdirSync(join(folder, 'folder'));
    const open = (path: string) => new Fd(openSync(path, 'r'));
    const [reader, writer] = pipe();
    const cases: [Fd, object][] = [
      [reader, { kind: 'fifo', path: undefined }],
      [open('/dev/null'), { kind: 'character-device', path: '/dev/null' }],
      [open('/proc/self/status'), { kind: 'special', path: `/proc/${process.pid}/status` }],
      [open('/sys/kernel'), { kind: 'special', path: '/sys/kernel' }],
      [open('/etc/passwd'), { kind: 'file', path: '/etc/passwd' }],
      [open(join(folder, 'folder')), { kind: 'directory', path: join(folder, 'folder') }],
      [memoryFile('state of it'), { kind: 'memfd', name: 'state of it' }],
      [pidfdOpen(process.pid), { kind: 'pidfd', pid: process.pid }],
      [eventfd(), { kind: 'anonymous', type: 'eventfd' }],
    ];
    for (const [fd, expected] of cases) {
      t.strictSame(describeFd(fd.number), expected);
      fd.close();
    }
    using epoll = new Epoll();
    t.strictSame(describeFd(epoll.fd), { kind: 'anonymous', type: 'eventpoll' });
    t.throws(() => describeFd(reader.number), { code: 'EBADF' });
    writer.close();
    rmSync(folder, { recursive: true });
  }),
);
