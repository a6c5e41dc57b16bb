import { fstatSync, openSync, readlinkSync } from 'node:fs';
import {
  bind,
  close,
  Fd,
  libc,
  MAX_PASSED_FDS,
  ReceiveBuffer,
  SOCK_DGRAM,
  SOCK_SEQPACKET,
  SOCK_STREAM,
  sendMessage,
  socketPair,
  unixSocket,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { programPath } from '../support/program-path.js';
import { runWithLimit } from '../support/run-with-limit.js';

const fcntl = libc<(fd: number, command: number, argument: number) => number>('int fcntl(int, int, long)');
const F_GETFD = 1;

const setsockopt = libc<(fd: number, level: number, name: number, value: Uint8Array, size: number) => number>(
  'int setsockopt(int, int, int, const void *, uint)',
);
const SOL_SOCKET = 1;
const SO_PASSCRED = 16;

/** Descriptors of so many different files, told apart by their inodes. */
function differentFiles(count: number): Fd[] {
  return Array.from({ length: count }, () => {
    const [first, second] = socketPair();
    second.close();
    return first;
  });
}

const inodes = (fds: readonly number[]) => fds.map((fd) => fstatSync(fd).ino);

for (const type of [SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET] as const) {
  t.test(
    `bytes come as they were sent, over a socket of type ${type}`,
    leavingNothing((t) => {
      const [first, second] = socketPair(type);
      using sender = first;
      using receiver = second;
      const buffer = new ReceiveBuffer(1000);
      fc.assert(
        fc.property(fc.uint8Array({ minLength: 1, maxLength: 1000 }), (bytes) => {
          t.equal(sendMessage(sender.number, bytes), bytes.length);
          t.equal(buffer.receive(receiver.number, []), bytes.length);
          t.ok(buffer.bytes.subarray(0, bytes.length).equals(bytes));
        }),
        { numRuns: 50 },
      );
      t.equal(buffer.receive(receiver.number, []), undefined);
    }),
  );
}

t.test(
  'a part of a larger buffer is sent from where it begins',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    const buffer = new ReceiveBuffer(100);
    sendMessage(sender.number, Buffer.from('0123456789').subarray(3, 6));
    t.equal(buffer.receive(receiver.number, []), 3);
    t.equal(buffer.bytes.toString('ascii', 0, 3), '345');
  }),
);

for (const count of [0, 1, 2, 252, MAX_PASSED_FDS]) {
  t.test(
    `${count} descriptors arrive in order, close-on-exec, and ours stay ours`,
    leavingNothing((t) => {
      const [first, second] = socketPair();
      using sender = first;
      using receiver = second;
      const files = differentFiles(count);
      const sent = files.map(({ number }) => number);
      t.equal(sendMessage(sender.number, Buffer.from('x'), { fds: sent }), 1);
      const received: number[] = [];
      t.equal(new ReceiveBuffer(10).receive(receiver.number, received), 1);
      t.strictSame(inodes(received), inodes(sent));
      t.ok(received.every((fd) => fcntl(fd, F_GETFD, 0) === 1));
      t.notOk(received.some((fd) => sent.includes(fd)));
      received.forEach(close);
      for (const file of files) file.close();
    }),
  );
}

t.test(
  'descriptors are appended to those that came before',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    const buffer = new ReceiveBuffer(1);
    using zero = new Fd(openSync('/dev/zero', 'r'));
    using full = new Fd(openSync('/dev/full', 'r'));
    const received: number[] = [];
    for (const fd of [zero, full]) sendMessage(sender.number, Buffer.from('x'), { fds: [fd.number] });
    buffer.receive(receiver.number, received);
    buffer.receive(receiver.number, received);
    t.strictSame(
      received.map((fd) => readlinkSync(`/proc/self/fd/${fd}`)),
      ['/dev/zero', '/dev/full'],
    );
    received.forEach(close);
  }),
);

t.test(
  'a message of a stream with descriptors is not joined with the one before',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    const buffer = new ReceiveBuffer(100);
    sendMessage(sender.number, Buffer.from('two'));
    sendMessage(sender.number, Buffer.from('words'));
    sendMessage(sender.number, Buffer.from('one'), { fds: [receiver.number] });
    const received: number[] = [];
    let total = 0;
    while (received.length === 0) total += buffer.receive(receiver.number, received) ?? 0;
    t.equal(total, 11);
    received.forEach(close);
  }),
);

t.test(
  'more than 253 descriptors throw EINVAL, and nothing is sent',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    for (const count of [254, 255, 1000]) {
      const fds = Array.from({ length: count }, () => sender.number);
      t.throws(() => sendMessage(sender.number, Buffer.from('x'), { fds }), { code: 'EINVAL', syscall: 'sendmsg' });
    }
    t.equal(new ReceiveBuffer(10).receive(receiver.number, []), undefined);
  }),
);

t.test(
  'a closed descriptor throws EBADF, and nothing is sent',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    t.throws(() => sendMessage(sender.number, Buffer.from('x'), { fds: [sender.number, 9999] }), { code: 'EBADF' });
    t.equal(new ReceiveBuffer(10).receive(receiver.number, []), undefined);
  }),
);

t.test(
  'over a stream nothing goes along with no bytes',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    t.equal(sendMessage(sender.number, Buffer.alloc(0), { fds: [sender.number] }), 0);
    t.equal(new ReceiveBuffer(10).receive(receiver.number, []), undefined);
  }),
);

t.test(
  'an empty datagram takes its descriptors along',
  leavingNothing((t) => {
    const [first, second] = socketPair(SOCK_DGRAM);
    using sender = first;
    using receiver = second;
    t.equal(sendMessage(sender.number, Buffer.alloc(0), { fds: [sender.number] }), 0);
    const received: number[] = [];
    t.equal(new ReceiveBuffer(10).receive(receiver.number, received), 0);
    t.equal(received.length, 1);
    received.forEach(close);
  }),
);

for (const room of [0, 1, 2]) {
  t.test(`with room for ${room} of three descriptors receiving throws EMFILE, and none is left`, (t) => {
    const program = programPath('./programs/no-room-to-receive.js', import.meta.url);
    t.strictSame(runWithLimit(120, program, String(room)), { code: 'EMFILE', received: 0, left: 0, next: 7 });
    t.end();
  });
}

t.test('those that there was room for are left to the caller, if it wants them', (t) => {
  const program = programPath('./programs/no-room-to-receive.js', import.meta.url);
  t.strictSame(runWithLimit(120, program, '2', 'lost'), { code: 'EMFILE', received: 0, left: 2, next: 7 });
  t.end();
});

t.test('with room for all three descriptors they are received', (t) => {
  const program = programPath('./programs/no-room-to-receive.js', import.meta.url);
  t.strictSame(runWithLimit(120, program, '3'), { code: '', received: 3, left: 3, next: 7 });
  t.end();
});

t.test(
  'credentials that a socket delivers beside do not take the room of 253 descriptors',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    t.equal(setsockopt(receiver.number, SOL_SOCKET, SO_PASSCRED, Buffer.from([1, 0, 0, 0]), 4), 0);
    sendMessage(sender.number, Buffer.from('x'), { fds: Array.from({ length: 253 }, () => sender.number) });
    const received: number[] = [];
    t.equal(new ReceiveBuffer(10).receive(receiver.number, received), 1);
    t.equal(received.length, 253);
    received.forEach(close);
  }),
);

for (const type of [SOCK_DGRAM, SOCK_SEQPACKET] as const) {
  t.test(
    `a datagram that is too long for the buffer throws EMSGSIZE, without a descriptor, over type ${type}`,
    leavingNothing((t) => {
      const [first, second] = socketPair(type);
      using sender = first;
      using receiver = second;
      const buffer = new ReceiveBuffer(4);
      const received: number[] = [];
      sendMessage(sender.number, Buffer.from('12345'), { fds: [sender.number] });
      sendMessage(sender.number, Buffer.from('1234'));
      t.throws(() => buffer.receive(receiver.number, received), { code: 'EMSGSIZE', syscall: 'recvmsg' });
      t.equal(buffer.receive(receiver.number, received), 4);
      t.strictSame(received, []);
    }),
  );
}

t.test(
  'a full socket takes nothing, or a part of a stream',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using sender = first;
    using receiver = second;
    const large = Buffer.alloc(10_000_000, 'x');
    const part = sendMessage(sender.number, large) ?? 0;
    t.ok(part > 0 && part < large.length);
    t.equal(sendMessage(sender.number, large), undefined);
    const buffer = new ReceiveBuffer(100_000);
    let total = 0;
    for (let count = buffer.receive(receiver.number, []); count !== undefined; ) {
      total += count;
      count = buffer.receive(receiver.number, []);
    }
    t.equal(total, part);
  }),
);

t.test(
  'the end of a stream is 0, and sending to it throws EPIPE without ending the process',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using socket = first;
    second.close();
    t.equal(new ReceiveBuffer(10).receive(socket.number, []), 0);
    t.throws(() => sendMessage(socket.number, Buffer.from('x')), { code: 'EPIPE', syscall: 'sendmsg' });
  }),
);

t.test(
  'a connection that the other end reset throws ECONNRESET',
  leavingNothing((t) => {
    const [first, second] = socketPair();
    using socket = first;
    sendMessage(socket.number, Buffer.from('unread'));
    second.close();
    t.throws(() => new ReceiveBuffer(10).receive(socket.number, []), { code: 'ECONNRESET', syscall: 'recvmsg' });
  }),
);

t.test(
  'a datagram goes to a path or an abstract name',
  leavingNothing((t) => {
    using folder = new Folder();
    using sender = unixSocket(SOCK_DGRAM);
    const buffer = new ReceiveBuffer(100);
    for (const to of [folder.join('ünï'), `@sdrx-test-${process.pid}`]) {
      using receiver = unixSocket(SOCK_DGRAM);
      bind(receiver.number, to);
      const received: number[] = [];
      t.equal(sendMessage(sender.number, Buffer.from('READY=1'), { to, fds: [sender.number] }), 7);
      t.equal(buffer.receive(receiver.number, received), 7);
      t.equal(received.length, 1);
      received.forEach(close);
    }
    // The address of the last one is not left in the message.
    t.throws(() => sendMessage(sender.number, Buffer.from('x')), { code: 'ENOTCONN' });
  }),
);

t.test(
  'a datagram to nobody throws ENOENT or ECONNREFUSED with the address, one that is too long EMSGSIZE',
  leavingNothing((t) => {
    using folder = new Folder();
    using sender = unixSocket(SOCK_DGRAM);
    const to = folder.join('socket');
    t.throws(() => sendMessage(sender.number, Buffer.from('x'), { to }), { code: 'ENOENT', subject: to });
    const receiver = unixSocket(SOCK_DGRAM);
    bind(receiver.number, to);
    t.throws(() => sendMessage(sender.number, Buffer.alloc(10_000_000), { to }), { code: 'EMSGSIZE' });
    receiver.close();
    t.throws(() => sendMessage(sender.number, Buffer.from('x'), { to }), { code: 'ECONNREFUSED' });
    t.throws(() => sendMessage(sender.number, Buffer.from('x'), { to: 'x'.repeat(108) }), { code: 'EMSGSIZE' });
  }),
);

t.test(
  'what is no socket throws ENOTSOCK, what is closed EBADF',
  leavingNothing((t) => {
    using file = new Fd(openSync('/dev/null', 'r+'));
    t.throws(() => sendMessage(file.number, Buffer.from('x')), { code: 'ENOTSOCK', subject: String(file.number) });
    t.throws(() => new ReceiveBuffer(1).receive(file.number, []), { code: 'ENOTSOCK' });
    t.throws(() => sendMessage(9999, Buffer.from('x')), { code: 'EBADF' });
    t.throws(() => new ReceiveBuffer(1).receive(9999, []), { code: 'EBADF' });
  }),
);
