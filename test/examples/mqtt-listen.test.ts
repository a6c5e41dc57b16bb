import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { EventLoop } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import { AF_INET, bindAddress, EPOLLHUP, EPOLLIN, EPOLLOUT, localAddress, makeSocket, SOCK_STREAM } from '@sdrx/linux';
import fc from 'fast-check';
import { take } from 'rxjs';
import t from 'tap';
import { type Connection, SocketConnection } from '#examples/mqtt-listen/connection.js';
import { type MqttOptions, mqtt } from '#examples/mqtt-listen/mqtt.js';
import { PacketReader } from '#examples/mqtt-listen/packet-reader.js';
import { connect, MqttError, type Packet, puback, subscribe } from '#examples/mqtt-listen/packets.js';
import { Folder } from '../support/folder.js';
import { Mosquitto, needsMosquitto } from '../support/mosquitto.js';
import { leavingNothing } from '../support/nothing-left.js';
import { processFds } from '../support/process-fds.js';
import { programPath } from '../support/program-path.js';
import { until, untilOr } from '../support/until.js';
import { RunningExample } from './running-example.js';

/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

type Tap = ConstructorParameters<typeof RunningExample>[0];

// Packets as the standard writes them, independent of the code under test.
const CONNACK = Buffer.from('20020000', 'hex');
const SUBACK = Buffer.from('9003000100', 'hex');
const PINGRESP = Buffer.from('d000', 'hex');
const PINGREQ = 'c000';

/** A PUBLISH of less than 128 bytes; with an id it is of QoS 1. */
function publish(topic: string, payload: string, id?: number, retain = false): Buffer {
  const idBytes = id === undefined ? [] : [id >> 8, id & 0xff];
  const body = Buffer.concat([Buffer.from([0, topic.length]), Buffer.from(topic), Buffer.from(idBytes)]);
  const head = 0x30 | (id === undefined ? 0 : 2) | Number(retain);
  return Buffer.concat([Buffer.from([head, body.length + payload.length]), body, Buffer.from(payload)]);
}

function readAll(bytes: Buffer, limit = 1000): Packet[] {
  return [...new PacketReader(limit).read(bytes)];
}

t.test('what it sends is what the standard says', async (t) => {
  t.equal(connect(60).toString('hex'), '100c00044d5154540402003c0000');
  t.equal(subscribe(['a/b', '#'], 1).toString('hex'), '820c00010003612f620100012301');
  t.equal(puback(0x1234).toString('hex'), '40021234');
  const long = 'x'.repeat(300);
  t.equal(subscribe([long], 0).toString('hex', 0, 7), '82b1020001012c');
  for (const wrong of ['', 'a\0b', 'x'.repeat(65_536)]) t.throws(() => subscribe([wrong], 0), TypeError);
  t.throws(() => subscribe([], 0), TypeError);
});

t.test('packets are the same however they are cut', async (t) => {
  const bytes = Buffer.concat([
    CONNACK,
    SUBACK,
    publish('a/b', 'x'.repeat(100), 7),
    PINGRESP,
    publish('c', '', undefined, true),
  ]);
  const whole = readAll(bytes);
  t.match(whole, [
    { type: 'connack' },
    { type: 'suback', refused: [false] },
    { type: 'publish', message: { topic: 'a/b', id: 7, retain: false, payload: Buffer.from('x'.repeat(100)) } },
    { type: 'pingresp' },
    { type: 'publish', message: { topic: 'c', id: undefined, retain: true, payload: Buffer.alloc(0) } },
  ]);
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 20 }), (cuts) => {
      const reader = new PacketReader(1000);
      const ends = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const found = ends.flatMap((end, index) => [
        ...reader.read(Buffer.from(bytes.subarray(ends[index - 1] ?? 0, end))),
      ]);
      t.strictSame(found, whole);
    }),
  );
});

t.test('whatever comes is packets, or an error of the broker', async (t) => {
  const good = Buffer.concat([CONNACK, SUBACK, publish('a/b', 'text', 7), PINGRESP]);
  const mutated = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { maxLength: 4 }).map((changes) => {
    const bytes = Buffer.from(good);
    for (const [at, value] of changes) bytes[at] = value;
    return bytes;
  });
  const noise = fc.uint8Array({ maxLength: 60 }).map((bytes) => Buffer.from(bytes));
  fc.assert(
    fc.property(fc.oneof(mutated, noise), (bytes) => {
      try {
        for (const packet of new PacketReader(100).read(bytes))
          if (packet.type === 'publish') t.ok(packet.message.topic !== '' && packet.message.id !== 0);
      } catch (error) {
        t.ok(error instanceof MqttError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});

t.test('each way to break the protocol is an error that says which', async (t) => {
  for (const [hex, message] of [
    ['20020005', /refuses who is not authorized/],
    ['20020009', /for reason 9/],
    ['20020200', /malformed CONNACK/],
    ['200100', /malformed CONNACK/],
    ['90020001', /malformed SUBACK/],
    ['9003000200', /malformed SUBACK/],
    ['d00100', /malformed PINGRESP/],
    ['300100', /malformed PUBLISH/],
    ['30020000', /malformed PUBLISH/],
    ['3003000161', undefined],
    ['300300012b', /malformed PUBLISH/],
    ['3003000261', /malformed PUBLISH/],
    ['320400016100', /malformed PUBLISH/],
    ['32050001610000', /malformed PUBLISH/],
    ['34050001610001', /malformed PUBLISH/],
    ['36050001610001', /malformed PUBLISH/],
    ['1000', /must not, 0x10/],
    ['0000', /must not, 0x0/],
    ['3080808001', /more than 1000 bytes/],
    ['30e907', /more than 1000 bytes/],
    ['3080808080', /malformed length/],
  ] as const) {
    const read = () => readAll(Buffer.from(hex, 'hex'));
    if (message === undefined) t.doesNotThrow(read, hex);
    else t.throws(read, { name: 'MqttError', message }, hex);
  }
});

/** The broker is the test. */
class ScriptedConnection implements Connection {
  /** What it was sent, in hexadecimal digits, and not asked for yet. */
  written = '';
  isClosed = false;
  /** How many bytes it takes now. */
  room = 1000;
  readonly #descriptor;
  readonly #waiting: Buffer[] = [];

  constructor(loop: VirtualLoop) {
    this.#descriptor = loop.openDescriptor();
    this.#descriptor.ready(EPOLLOUT);
  }

  get number(): number {
    return this.#descriptor.number;
  }

  read(): Buffer | undefined {
    const first = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#descriptor.unready(EPOLLIN);
    return first;
  }

  write(bytes: Uint8Array): number | undefined {
    const count = Math.min(bytes.length, this.room);
    this.room -= count;
    if (this.room === 0) this.#descriptor.unready(EPOLLOUT);
    this.written += Buffer.from(bytes.subarray(0, count)).toString('hex');
    return count === 0 ? undefined : count;
  }

  /** What was sent since it was asked last. */
  sent(): string {
    const { written } = this;
    this.written = '';
    return written;
  }

  /** Each argument comes in one piece; the broker hangs up with an empty one. */
  send(...pieces: readonly Buffer[]): void {
    this.#waiting.push(...pieces);
    this.#descriptor.ready(pieces.at(-1)?.length === 0 ? EPOLLIN | EPOLLHUP : EPOLLIN);
  }

  makeRoom(bytes: number): void {
    this.room += bytes;
    this.#descriptor.ready(EPOLLOUT);
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.#descriptor[Symbol.dispose]();
  }
}

interface Script {
  readonly loop: VirtualLoop;
  readonly broker: ScriptedConnection;
  readonly seen: string[];
}

/** Runs a body with a source whose broker is the test, on a virtual loop. */
async function scripted(
  body: (script: Script) => Promise<void>,
  { room = 1000, limit = 1000, keepAlive = 60_000, ...options }: Partial<MqttOptions> & { room?: number } = {},
): Promise<ScriptedConnection> {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const broker = new ScriptedConnection(loop);
  broker.room = room;
  const seen: string[] = [];
  const messages = mqtt(loop, () => broker, { topics: ['a', 'b/#'], limit, keepAlive, ...options });
  const subscription = messages.subscribe({
    next: ({ topic, payload }) => seen.push(`${topic} ${payload}`),
    error: ({ message }) => seen.push(message),
  });
  await loop.settle();
  await body({ loop, broker, seen });
  subscription.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
  return broker;
}

/** What it sends first. */
function greeting(qos: 0 | 1): string {
  return Buffer.concat([connect(60), subscribe(['a', 'b/#'], qos)]).toString('hex');
}

t.test(
  'messages come in their order; the broker is asked for a sign of life, and its silence is an error',
  async (t) => {
    const broker = await scripted(async ({ loop, broker, seen }) => {
      t.equal(broker.sent(), greeting(0));
      broker.send(CONNACK, Buffer.concat([SUBACK, publish('a', '1'), publish('b/c', '2')]), publish('a', '3'));
      await loop.settle();
      t.strictSame(seen.splice(0), ['a 1', 'b/c 2', 'a 3']);
      for (let round = 0; round < 5; round++) {
        await loop.advance(30_000);
        t.equal(broker.sent(), PINGREQ);
        broker.send(PINGRESP);
        await loop.advance(29_000);
        t.equal(broker.sent(), '');
        await loop.advance(1000);
        t.equal(broker.sent(), PINGREQ);
        broker.send(publish('a', 'alive'));
      }
      await loop.advance(30_000);
      t.strictSame([seen.length, broker.sent()], [5, PINGREQ]);
      await loop.advance(29_999);
      t.equal(seen.length, 5);
      await loop.advance(1);
      t.equal(seen.at(-1), 'the broker says nothing');
    });
    t.ok(broker.isClosed);
  },
);

for (const [how, pieces] of Object.entries({
  'says nothing': [],
  'sends half a packet': [CONNACK.subarray(0, 3)],
  'drips the bytes of a packet': [Buffer.from([0x30, 0x7f]), ...Array.from({ length: 50 }, () => Buffer.alloc(1))],
})) {
  t.test(`a broker that ${how} is left after a while`, async (t) => {
    const broker = await scripted(async ({ loop, broker, seen }) => {
      for (const piece of pieces) broker.send(piece);
      await loop.advance(29_999);
      t.strictSame(seen, []);
      await loop.advance(1);
      t.strictSame(seen, ['the broker says nothing']);
    });
    t.ok(broker.isClosed);
  });
}

t.test('what the loop had no time to read is no silence', (t) =>
  scripted(
    async ({ loop, broker, seen }) => {
      broker.send(CONNACK, SUBACK, publish('a', '1'), publish('a', '2'), publish('a', '3'));
      await loop.advance(400_000);
      t.strictSame(seen, ['a 1', 'a 2']);
      broker.send(PINGRESP);
      // The answer and the alarm come at the same time.
      await loop.advance(200_001);
      t.strictSame(seen.slice(2), ['a 3']);
      broker.send(PINGRESP);
      await loop.advance(29_000);
      t.equal(seen.length, 3);
      await loop.advance(60_000);
      t.equal(seen[3], 'the broker says nothing');
    },
    { ratelimit: { interval: 300_000, burst: 1 } },
  ),
);

t.test('an answer that is there when the alarm rings counts', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const broker = new ScriptedConnection(loop);
  // Its alarm rings first, at the same time: then both the answer and the other alarm are there, the alarm before the answer.
  const answer = loop.source<void>('answer', (source, kernel) => {
    source.use(kernel.alarm('monotonic', () => broker.send(PINGRESP))).set(60_000);
    return {};
  });
  const subscription = answer.subscribe();
  const errors: string[] = [];
  const messages = mqtt(loop, () => broker, { topics: ['a'], keepAlive: 60_000 });
  subscription.add(messages.subscribe({ error: ({ message }) => errors.push(message) }));
  broker.send(CONNACK);
  await loop.advance(60_000);
  t.strictSame(errors, []);
  await loop.advance(60_000);
  t.strictSame(errors, ['the broker says nothing']);
  subscription.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
});

t.test('a message that comes at least once is acknowledged when it was dispatched, one by one', (t) =>
  scripted(
    async ({ loop, broker, seen }) => {
      broker.sent();
      broker.send(CONNACK, Buffer.concat([SUBACK, publish('a', '1', 1), publish('a', '2', 0x1234)]), publish('a', '3'));
      await loop.settle();
      t.strictSame([seen, broker.sent()], [['a 1'], '40020001']);
      await loop.advance(1001);
      t.strictSame([seen.at(-1), broker.sent()], ['a 2', '40021234']);
      await loop.advance(1001);
      t.strictSame([seen.at(-1), broker.sent()], ['a 3', '']);
    },
    { qos: 1, ratelimit: { interval: 1000, burst: 1 } },
  ),
);

t.test('a broker that does not take what it is sent is not read from, until it does', (t) =>
  scripted(
    async ({ loop, broker, seen }) => {
      const first = greeting(1);
      t.equal(broker.sent(), first.slice(0, 6));
      broker.send(CONNACK, publish('a', '1', 1), publish('a', '2', 2));
      await loop.settle();
      t.strictSame([seen, broker.sent()], [[], '']);
      broker.makeRoom(first.length / 2 - 3);
      await loop.settle();
      t.strictSame([seen.splice(0), broker.sent()], [['a 1'], first.slice(6)]);
      await loop.settle();
      t.strictSame(seen, []);
      broker.makeRoom(3);
      await loop.settle();
      t.strictSame([seen, broker.sent()], [[], '400200']);
      broker.makeRoom(1000);
      await loop.settle();
      t.strictSame([seen, broker.sent()], [['a 2'], '0140020002']);
    },
    { qos: 1, room: 3 },
  ),
);

t.test('who unsubscribes within a message does not acknowledge it, as the connection is closed', async (t) => {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const broker = new ScriptedConnection(loop);
  const seen: string[] = [];
  mqtt(loop, () => broker, { topics: ['a'], qos: 1 })
    .pipe(take(1))
    .subscribe({ next: ({ payload }) => seen.push(`${payload}`), complete: () => loop.exit() });
  broker.send(CONNACK, SUBACK, Buffer.concat([publish('a', '1', 1), publish('a', '2', 2)]));
  await loop.finish();
  t.equal(await finished, 0);
  t.strictSame([seen, broker.isClosed], [['1'], true]);
  t.notMatch(broker.sent(), /4002/);
});

for (const [what, pieces, message] of [
  ['goes', [CONNACK, Buffer.alloc(0)], 'the broker has hung up'],
  ['goes at once', [Buffer.alloc(0)], 'the broker has hung up'],
  ['refuses a topic', [CONNACK, Buffer.from('900400010080', 'hex')], 'the broker refuses b/#'],
  ['refuses', [Buffer.from('20020004', 'hex')], 'the broker refuses the user or the password'],
  ['speaks before it greets', [publish('a', '1')], 'the broker does not begin with CONNACK'],
  ['sends too much', [CONNACK, Buffer.from('30e907', 'hex')], 'the broker sends more than 1000 bytes at a time'],
  ['speaks HTTP', [Buffer.from('HTTP/1.1 400 Bad Request\r\n')], 'the broker sends what it must not, 0x48'],
] as const) {
  t.test(`a broker that ${what} is an error, and the connection is closed`, async (t) => {
    const broker = await scripted(async ({ loop, broker, seen }) => {
      broker.send(...pieces);
      await loop.settle();
      t.strictSame(seen, [message]);
    });
    t.ok(broker.isClosed);
  });
}

t.test('options that can not be are refused at once', async (t) => {
  using loop = new EventLoop();
  const open = (): never => {
    throw new Error('it connects');
  };
  const refused = (options: MqttOptions) => () => mqtt(loop, open, options);
  t.throws(refused({ topics: [] }), TypeError);
  for (const keepAlive of [999, 65_535_001, Number.NaN]) t.throws(refused({ topics: ['a'], keepAlive }), RangeError);
});

/** Serves with each connection what the test says, at a Unix socket and by TCP. @returns how the example is told where */
async function serving(t: Tap, serve: (socket: Socket) => void): Promise<readonly string[]> {
  const folder = new Folder();
  const sockets = new Set<Socket>();
  const servers = [folder.join('socket'), 0].map((place) => {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => {}).resume());
      serve(socket);
    });
    return typeof place === 'number' ? server.listen(place, '127.0.0.1') : server.listen(place);
  });
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    for (const server of servers) server.close();
    folder[Symbol.dispose]();
  });
  return Promise.all(
    servers.map(async (server) => {
      await once(server, 'listening');
      const address = server.address();
      return typeof address === 'string' ? `unix:${address}` : `tcp:localhost:${address?.port}`;
    }),
  );
}

/** Runs the example to its end. @returns its exit status, and what it says */
async function failure(...args: readonly string[]): Promise<string> {
  const path = programPath('../../../examples/dist/mqtt-listen.js', import.meta.url);
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const [status] = await once(child, 'close');
  return `${status} ${said}`;
}

const HOSTILE: Readonly<Record<string, readonly [serve: (socket: Socket) => void, said: RegExp]>> = {
  'hangs up at once': [(socket) => socket.end(), /^1 mqtt-listen: the broker has hung up\n$/],
  'is reset': [(socket) => socket.resetAndDestroy(), /^1 mqtt-listen: (ECONNRESET|EPIPE): .*\n$/],
  'says nothing': [() => {}, /^1 mqtt-listen: the broker says nothing\n$/],
  'sends garbage': [(socket) => socket.write('HTTP/1.1 400 Bad Request\r\n'), /^1 .*what it must not, 0x48\n$/],
  'sends half a packet': [
    (socket) => socket.write(CONNACK.subarray(0, 3)),
    /^1 mqtt-listen: the broker says nothing\n$/,
  ],
  'ends within a packet': [(socket) => socket.end(CONNACK.subarray(0, 3)), /^1 mqtt-listen: the broker has hung up\n$/],
  'sends too much': [
    (socket) => socket.write(Buffer.concat([CONNACK, Buffer.from('30ffffff7f', 'hex')])),
    /^1 .* more than 1048576 bytes at a time\n$/,
  ],
};

for (const [what, [serve, said]] of Object.entries(HOSTILE)) {
  t.test(`a broker that ${what}: the program says so, and ends with status 1`, async (t) => {
    for (const broker of await serving(t, serve)) {
      if (what === 'is reset' && broker.startsWith('unix:')) continue;
      t.match(await failure(`--broker=${broker}`, '--topic=a', '--keep-alive=1'), said, broker);
    }
  });
}

t.test('what is wrong on the command line is told', async (t) => {
  t.match(
    await failure('--topic=a', '--broker=udp:x:1'),
    /^1 mqtt-listen: 'udp:x:1' is no unix:PATH or tcp:HOST:PORT\n$/,
  );
  t.match(await failure('--broker=tcp:localhost:1'), /^1 mqtt-listen: there must be a topic to subscribe to\n$/);
  t.match(
    await failure('--broker=tcp:localhost:1', '--topic=a', '--qos=2'),
    /^1 mqtt-listen: --qos=2 must be 0 or 1\n$/,
  );
  t.match(
    await failure('--broker=tcp:localhost:1', '--topic=a', '--keep-alive=x'),
    /^1 mqtt-listen: `keepAlive` must be/,
  );
  t.match(await failure('--broker=unix:/nonexistent', '--topic=a'), /^1 mqtt-listen: ENOENT/);
});

t.test(
  'as a source it has a connection while it is subscribed to, also when it fails',
  leavingNothing(async (t) => {
    using folder = new Folder();
    const path = folder.join('socket');
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .write(CONNACK),
    ).listen(path);
    await once(server, 'listening');
    using loop = new EventLoop();
    const finished = loop.run();
    const open = () => new SocketConnection({ family: 'unix', path });
    for (let round = 0; round < 3; round++) {
      const connected = once(server, 'connection');
      const subscription = mqtt(loop, open, { topics: ['a'] }).subscribe();
      const [socket] = await connected;
      const closed = new Promise((resolve) => socket.once('close', resolve));
      t.match(loop.sources(), [{ kind: 'mqtt' }]);
      subscription.unsubscribe();
      await closed;
    }
    server.close();
    await once(server, 'close');
    using deaf = makeSocket(AF_INET, SOCK_STREAM);
    bindAddress(deaf.number, { family: 'inet', host: '127.0.0.1', port: 0 });
    const address = localAddress(deaf.number);
    if (address?.family !== 'inet') throw new Error('it has no port');
    // Of a Unix socket it is known at once, of TCP later.
    for (const [connecting, expected] of [
      [open, 'ENOENT'],
      [() => new SocketConnection(address), 'ECONNREFUSED'],
    ] as const) {
      const errors: string[] = [];
      mqtt(loop, connecting, { topics: ['a'] }).subscribe({ error: ({ code }) => errors.push(code) });
      await until(() => errors.length > 0);
      t.strictSame(errors, [expected]);
    }
    loop.exit();
    await finished;
  }),
);

for (const [place, qos] of [
  ['tcp', 0],
  ['tcp', 1],
  ['unix', 0],
  ['unix', 1],
] as const) {
  t.test(`mosquitto's messages, by ${place} with QoS ${qos}`, needsMosquitto, async (t) => {
    const broker = await Mosquitto.start(t);
    const address = place === 'tcp' ? 'tcp:localhost:1883' : `unix:${broker.path}`;
    const args = [`--broker=${address}`, '--topic=a/+/c', '--topic=b/#', `--qos=${qos}`, '--keep-alive=1'];
    broker.publish('b', 'before', '-r');
    const example = broker.run(() => new RunningExample(t, 'mqtt-listen', { args }));
    await example.prints('{"topic":"b","payload":"before","retain":true}');
    const before = processFds(example.pid).size;
    const large = 'x'.repeat(300_000);
    broker.publish('a/b/c', 'ü\n"', '-q', '1');
    broker.publish('a/b/d', 'not asked for', '-q', '1');
    broker.publish('b/x/y', Buffer.from([0xff, 0xfe]), '-q', '1');
    broker.publish('b', '');
    for (let index = 0; index < 10; index++) broker.publish('b/many', `${index}`, '-q', '1');
    broker.publish('b/large', large, '-q', '1');
    await example.prints(`{"topic":"b/large","payload":"${large}","retain":false}`);
    t.strictSame(example.lines.slice(1, -1), [
      '{"topic":"a/b/c","payload":"ü\\n\\"","retain":false}',
      '{"topic":"b/x/y","base64":"//4=","retain":false}',
      '{"topic":"b","payload":"","retain":false}',
      ...Array.from({ length: 10 }, (_, index) => `{"topic":"b/many","payload":"${index}","retain":false}`),
    ]);
    await broker.logs(/Received PINGREQ/);
    const acknowledged = () => broker.log.match(/Received PUBACK/g)?.length ?? 0;
    const expected = qos === 1 ? 13 : 0;
    await untilOr(
      LIMIT,
      () => acknowledged() >= expected,
      () => `${acknowledged()} were acknowledged`,
    );
    t.equal(acknowledged(), expected);
    t.equal(processFds(example.pid).size, before);
    example.kill('SIGTERM');
    t.equal(await example.ended(), 0);
    t.notMatch(broker.log, /[Pp]rotocol error|malformed/i);
  });
}

t.test('a mosquitto that refuses, or that dies', needsMosquitto, async (t) => {
  const refusing = await Mosquitto.start(t, 'allow_anonymous false');
  t.match(
    await failure(`--broker=unix:${refusing.path}`, '--topic=a'),
    /^1 mqtt-listen: the broker refuses who is not authorized\n$/,
  );
  const dying = await Mosquitto.start(t);
  dying.publish('a', 'here', '-r');
  const example = new RunningExample(t, 'mqtt-listen', { args: [`--broker=unix:${dying.path}`, '--topic=a'] });
  await example.prints(/here/);
  dying.kill();
  t.equal(await example.ended(), 1);
});
