import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import { type ListeningSocket, listenInet, listenUnix, ServedDatagrams } from '@sdrx/event';
import { BehaviorSubject } from 'rxjs';
import t from 'tap';
import { Folder } from '../support/folder.js';
import { leavingNothing } from '../support/nothing-left.js';
import { until } from '../support/until.js';

const never = () => new AbortController().signal;

/** Sends back what comes. */
function echo(socket: Socket): void {
  socket.on('message', (message, { port, address }) => socket.send(message, port, address));
}

function portOf({ address }: ListeningSocket): number {
  if (address.family !== 'inet' && address.family !== 'inet6') throw new TypeError('it has no port');
  return address.port;
}

/** A client that is connected to a service, and keeps what comes back. */
async function clientOf(service: ListeningSocket): Promise<{ socket: Socket; received: string[] }> {
  const isV6 = service.address.family === 'inet6';
  const socket = createSocket(isV6 ? 'udp6' : 'udp4');
  const received: string[] = [];
  socket.on('message', (message) => received.push(message.toString()));
  socket.connect(portOf(service), isV6 ? '::1' : '127.0.0.1');
  await once(socket, 'connect');
  return { socket, received };
}

async function close(socket: Socket): Promise<void> {
  socket.close();
  await once(socket, 'close');
}

t.test(
  'it begins paused; what comes while it is paused waits',
  leavingNothing(async (t) => {
    for (const [host, type] of [
      ['127.0.0.1', 'udp4'],
      ['::1', 'udp6'],
    ] as const) {
      using service = listenInet(host, 0, { type: 'datagram' });
      const served = new ServedDatagrams(service.fd, type, echo);
      t.equal(served.exclusive, true);
      const client = await clientOf(service);
      client.socket.send('one');
      await until(() => served.waiting);
      await setImmediate();
      t.strictSame(client.received, []);
      served.resume();
      served.resume();
      await until(() => client.received.length === 1);
      served.pause();
      served.pause();
      client.socket.send('two');
      await until(() => served.waiting);
      served.resume();
      served.pause();
      served.resume();
      await until(() => client.received.length === 2);
      await served.drain({ signal: never() });
      served.resume();
      client.socket.send('three');
      await until(() => served.waiting);
      t.strictSame(client.received, ['one', 'two']);
      await close(client.socket);
    }
  }),
);

t.test(
  'no datagram and no answer is lost over a thousand pauses',
  { timeout: 120_000 },
  leavingNothing(async (t) => {
    using service = listenInet('127.0.0.1', 0, { type: 'datagram' });
    let taken = 0;
    const served = new ServedDatagrams(service.fd, 'udp4', (socket) => {
      echo(socket);
      // In the same turn in which it was answered.
      socket.on('message', () => {
        taken++;
        served.pause();
      });
    });
    const client = await clientOf(service);
    const sent: string[] = [];
    for (let count = 0; count < 1000; count++) {
      for (const part of 'ab') {
        sent.push(`${count}${part}`);
        client.socket.send(`${count}${part}`);
      }
      while (taken < sent.length) {
        served.resume();
        await setImmediate();
      }
    }
    await until(() => client.received.length === sent.length);
    t.strictSame(client.received, sent);
    await close(client.socket);
  }),
);

t.test(
  'a drain waits for what is under way, or until it has no more time',
  leavingNothing(async (t) => {
    using service = listenInet('127.0.0.1', 0, { type: 'datagram' });
    const counts = [new BehaviorSubject(1), new BehaviorSubject(1)];
    const served = new ServedDatagrams(service.fd, 'udp4', () => {}, counts);
    served.resume();
    let sum = 0;
    served.count.subscribe((now) => (sum = now));
    t.equal(sum, 2);
    let done = false;
    const drained = served.drain({ signal: never() }).then(() => (done = true));
    counts[0]?.next(0);
    await setImmediate();
    t.notOk(done);
    counts[1]?.next(0);
    await drained;
    counts[1]?.next(1);
    const abort = new AbortController();
    const broken = served.drain({ signal: abort.signal });
    abort.abort();
    await broken;
    await served.drain({ signal: abort.signal });
  }),
);

t.test(
  'what it can not serve it says; a failure leaves nothing',
  leavingNothing((t) => {
    using folder = new Folder();
    using unix = listenUnix(folder.join('socket'), { type: 'datagram' });
    using stream = listenInet('127.0.0.1', 0);
    using service = listenInet('127.0.0.1', 0, { type: 'datagram' });
    t.throws(() => new ServedDatagrams(unix.fd, 'udp4', echo), /use `loop\.io` and ReceiveBuffer of @sdrx\/linux/);
    t.throws(() => new ServedDatagrams(stream.fd, 'udp4', echo), /must be a socket of udp4/);
    t.throws(() => new ServedDatagrams(service.fd, 'udp6', echo), /must be a socket of udp6/);
    const failing = new ServedDatagrams(service.fd, 'udp4', () => {
      throw new Error('it does not want to');
    });
    t.throws(() => failing.resume(), /it does not want to/);
    const served = new ServedDatagrams(service.fd, 'udp4', echo);
    service.fd.close();
    t.throws(() => served.resume(), { code: 'EBADF' });
    t.throws(() => served.waiting, { code: 'EBADF' });
  }),
);
