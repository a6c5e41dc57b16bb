import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { EventLoop } from '@sdrx/event';
import { VirtualLoop } from '@sdrx/event/testing';
import {
  attribute,
  EPOLLIN,
  isSystemError,
  Netlink,
  NLM_F_CREATE,
  NLM_F_EXCL,
  nested,
  textAttribute,
  uint32Attribute,
} from '@sdrx/linux';
import fc from 'fast-check';
import t from 'tap';
import { type LinkMessage, readLinkMessages } from '#examples/link-monitor/link-messages.js';
import type { LinkSocket } from '#examples/link-monitor/link-socket.js';
import { type LinkEvent, LinkTable } from '#examples/link-monitor/link-table.js';
import { type LinksOptions, links } from '#examples/link-monitor/links.js';
import { inNetwork } from '../support/in-network.js';
import { Network } from '../support/network.js';
import { leavingNothing } from '../support/nothing-left.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { programPath } from '../support/program-path.js';
import { until, untilOr } from '../support/until.js';
import { RunningExample } from './running-example.js';

/** The longest that anything here may take, in milliseconds. */
const LIMIT = 60_000;

const [NLMSG_ERROR, NLMSG_DONE, RTM_NEWLINK, RTM_DELLINK] = [2, 3, 16, 17];
const [MULTI, TORN] = [0x2, 0x10];
const [AF_BRIDGE, IFLA_ADDRESS, IFLA_IFNAME, IFLA_MASTER, IFLA_LINKINFO, IFLA_INFO_KIND] = [7, 1, 3, 10, 18, 1];
const [UP, CARRIER] = [1, 0x10000];

/** A message, as the kernel puts it into a datagram. */
function message(type: number, flags: number, body: Buffer): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt32LE(16 + body.length, 0);
  header.writeUInt16LE(type, 4);
  header.writeUInt16LE(flags, 6);
  return Buffer.concat([header, body, Buffer.alloc((4 - (body.length % 4)) % 4)]);
}

interface Told {
  readonly flags?: number;
  readonly linkFlags?: number;
  readonly family?: number;
}

/** The body of what is told of an interface. */
function linkBody(index: number, name: string, linkFlags = 0, family = 0): Buffer {
  const header = Buffer.alloc(16);
  header.writeUInt8(family, 0);
  header.writeInt32LE(index, 4);
  header.writeUInt32LE(linkFlags, 8);
  return Buffer.concat([header, attribute(IFLA_ADDRESS, Buffer.alloc(6)), textAttribute(IFLA_IFNAME, name)]);
}

function isThere(index: number, name: string, { flags = 0, linkFlags = 0, family = 0 }: Told = {}): Buffer {
  return message(RTM_NEWLINK, flags, linkBody(index, name, linkFlags, family));
}

function isGone(index: number, name: string, { family = 0 }: Told = {}): Buffer {
  return message(RTM_DELLINK, 0, linkBody(index, name, 0, family));
}

const LISTED = { flags: MULTI };

/** The end of a list, or an answer. */
function end(flags = MULTI, error = 0, type = NLMSG_DONE): Buffer {
  const body = Buffer.alloc(4);
  body.writeInt32LE(error);
  return message(type, flags, body);
}

t.test('what the kernel tells is read: several messages at a time, only of interfaces themselves', async (t) => {
  const datagram = Buffer.concat([
    isThere(2, 'near', { flags: MULTI | TORN, linkFlags: UP }),
    message(1, 0, Buffer.alloc(3)),
    isGone(2, 'near', { family: AF_BRIDGE }),
    isThere(3, 'ü', { linkFlags: CARRIER }),
    end(0, 0, NLMSG_ERROR),
    isGone(3, 'ü'),
    end(),
  ]);
  t.strictSame(
    [...readLinkMessages(datagram)],
    [
      {
        type: 'new',
        link: { index: 2, name: 'near', flags: UP, up: true, carrier: false },
        listed: true,
        torn: true,
      },
      {
        type: 'new',
        link: { index: 3, name: 'ü', flags: CARRIER, up: false, carrier: true },
        listed: false,
        torn: false,
      },
      { type: 'gone', link: { index: 3, name: 'ü', flags: 0, up: false, carrier: false }, listed: false, torn: false },
      { type: 'end', listed: true, torn: false },
    ],
  );
});

t.test('an answer that is an error is thrown, with its number', async (t) => {
  for (const type of [NLMSG_ERROR, NLMSG_DONE])
    t.throws(() => [...readLinkMessages(end(MULTI, -1, type))], { code: 'EPERM', syscall: 'RTM_GETLINK' });
});

/** Reads, and looks at what may come of any bytes. */
function readAny(t: Tap, bytes: Buffer): void {
  const found: LinkMessage[] = [];
  try {
    for (const message of readLinkMessages(bytes)) found.push(message);
  } catch (error) {
    // The kernel's own answers have all numbers.
    t.ok(isSystemError(error, 'EBADMSG') || isSystemError(error), String(error));
    t.match(error, { syscall: /^(netlink|RTM_GETLINK)$/ });
  }
  t.ok(found.length * 16 <= bytes.length);
  for (const { link } of found) t.ok(link === undefined || link.name.length <= bytes.length);
}

type Tap = ConstructorParameters<typeof RunningExample>[0];

t.test('whatever comes is read or is an error that says so', async (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => readAny(t, Buffer.from(bytes))));
  const whole = Buffer.concat([isThere(2, 'near', LISTED), isGone(2, 'near'), end()]);
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(whole.length - 1), fc.nat(255)), { maxLength: 4 }),
      fc.nat(whole.length),
      (changes, length) => {
        const bytes = Buffer.from(whole);
        for (const [at, value] of changes) bytes[at] = value;
        readAny(t, bytes.subarray(0, length));
      },
    ),
    { numRuns: 1000 },
  );
});

t.test('each end but that of a message is an error', async (t) => {
  const [first, second] = [isThere(2, 'near'), end()];
  const whole = Buffer.concat([first, second]);
  for (let length = 1; length <= whole.length; length++) {
    const read = () => [...readLinkMessages(whole.subarray(0, length))];
    if (length === first.length || length === whole.length) t.doesNotThrow(read);
    else t.throws(read, { code: 'EBADMSG' }, `${length} bytes`);
  }
  for (const body of [Buffer.alloc(0), Buffer.alloc(15), Buffer.alloc(16), Buffer.alloc(20)])
    t.throws(() => [...readLinkMessages(message(RTM_NEWLINK, 0, body))], { code: 'EBADMSG' });
  for (const body of [Buffer.alloc(3), Buffer.from([1, 0, 0, 0]), Buffer.from([0, 0, 0, 0x80])])
    t.throws(() => [...readLinkMessages(message(NLMSG_ERROR, 0, body))], { code: 'EBADMSG' });
});

/** The other end is the test. */
class ScriptedSocket implements LinkSocket {
  /** How often it was asked what is there. */
  asked = 0;
  /** How often it was read from. */
  received = 0;
  isClosed = false;
  readonly #descriptor;
  readonly #waiting: (Buffer | 'lost')[] = [];

  constructor(loop: VirtualLoop) {
    this.#descriptor = loop.openDescriptor();
  }

  get number(): number {
    return this.#descriptor.number;
  }

  ask(): void {
    this.asked++;
  }

  receive(): Buffer | 'lost' | undefined {
    this.received++;
    const first = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#descriptor.unready(EPOLLIN);
    return first;
  }

  /** Each argument comes as a datagram. */
  send(...datagrams: readonly (Buffer | 'lost')[]): void {
    this.#waiting.push(...datagrams);
    this.#descriptor.ready(EPOLLIN);
  }

  [Symbol.dispose](): void {
    this.isClosed = true;
    this.#descriptor[Symbol.dispose]();
  }
}

function asText(event: LinkEvent): string {
  return 'index' in event ? `${event.event} ${event.index} ${event.name}` : event.event;
}

/** Runs a body with a source whose kernel is the test, on a virtual loop. */
async function scripted(
  body: (script: { loop: VirtualLoop; socket: ScriptedSocket; seen: string[] }) => Promise<void>,
  options: LinksOptions = {},
): Promise<ScriptedSocket> {
  using loop = new VirtualLoop();
  const finished = loop.run();
  const socket = new ScriptedSocket(loop);
  const seen: string[] = [];
  const subscription = links(loop, { open: () => socket, ...options }).subscribe({
    next: (event) => seen.push(asText(event)),
    error: ({ code }) => seen.push(code),
  });
  await body({ loop, socket, seen });
  subscription.unsubscribe();
  loop.exit();
  await loop.finish();
  await finished;
  return socket;
}

t.test('first comes what is there, in several parts, then what changes; in the end all is closed', async (t) => {
  const socket = await scripted(async ({ loop, socket, seen }) => {
    t.equal(socket.asked, 1);
    socket.send(isThere(1, 'lo', LISTED), Buffer.concat([isThere(2, 'near', LISTED), isThere(3, 'far', LISTED)]));
    await loop.settle();
    t.strictSame(seen.splice(0), ['new 1 lo', 'new 2 near', 'new 3 far']);
    socket.send(isGone(3, 'far'), end());
    await loop.settle();
    t.strictSame(seen.splice(0), ['gone 3 far', 'complete']);
    socket.send(isThere(2, 'other'), isGone(9, 'nobody'), isGone(2, 'other'));
    await loop.settle();
    t.strictSame(seen, ['new 2 other', 'gone 2 other']);
    t.equal(socket.asked, 1);
  });
  t.ok(socket.isClosed);
});

t.test('what was lost is found out: all is told anew, and what is gone', (t) =>
  scripted(async ({ loop, socket, seen }) => {
    socket.send(
      Buffer.concat([isThere(1, 'lo', LISTED), isThere(2, 'near', LISTED), isThere(3, 'far', LISTED), end()]),
    );
    await loop.settle();
    seen.length = 0;
    // What comes before the list is older than it: it has the last word.
    socket.send('lost', isThere(2, 'near'), isThere(4, 'brief'));
    socket.send(isThere(1, 'lo', LISTED), isThere(5, 'late'), isThere(6, 'later'), isGone(6, 'later'), end());
    await loop.settle();
    t.equal(socket.asked, 2);
    const told = ['lost', 'new 2 near', 'new 4 brief', 'new 1 lo', 'new 5 late', 'new 6 later', 'gone 6 later'];
    t.strictSame(seen, [...told, 'gone 2 near', 'gone 3 far', 'gone 4 brief', 'complete']);
  }),
);

t.test(
  'a list that is torn, or that something was lost from, is followed by another; never are there two at a time',
  (t) =>
    scripted(async ({ loop, socket, seen }) => {
      socket.send(isThere(1, 'lo', LISTED), 'lost', 'lost', isThere(2, 'near', { flags: MULTI | TORN }));
      await loop.settle();
      t.equal(socket.asked, 1);
      socket.send(end());
      await loop.settle();
      t.equal(socket.asked, 2);
      socket.send(isThere(1, 'lo', { flags: MULTI | TORN }), end());
      await loop.settle();
      t.equal(socket.asked, 3);
      socket.send(isThere(1, 'lo', LISTED), end(MULTI | TORN));
      await loop.settle();
      t.equal(socket.asked, 4);
      socket.send(isThere(1, 'lo', LISTED), end());
      await loop.settle();
      t.equal(socket.asked, 4);
      const lists = ['new 1 lo', 'lost', 'lost', 'new 2 near', 'new 1 lo', 'new 1 lo', 'new 1 lo'];
      t.strictSame(seen, [...lists, 'gone 2 near', 'complete']);
    }),
);

t.test('an empty list is one, too', (t) =>
  scripted(async ({ loop, socket, seen }) => {
    socket.send(isThere(2, 'near'), end());
    await loop.settle();
    t.strictSame(seen, ['new 2 near', 'gone 2 near', 'complete']);
  }),
);

t.test('a message that is malformed is its error, and so is one that the kernel answers', async (t) => {
  for (const [datagram, code] of [
    [Buffer.alloc(15), 'EBADMSG'],
    [end(0, -1, NLMSG_ERROR), 'EPERM'],
  ] as const) {
    const socket = await scripted(async ({ loop, socket, seen }) => {
      socket.send(isThere(1, 'lo', LISTED), datagram, isThere(2, 'near'));
      await loop.settle();
      t.strictSame(seen, ['new 1 lo', code]);
    });
    t.ok(socket.isClosed);
  }
});

t.test('while a rate limit holds it back, nothing is read', (t) =>
  scripted(
    async ({ loop, socket, seen }) => {
      socket.send(Buffer.concat([isThere(1, 'lo', LISTED), isThere(2, 'near', LISTED)]), end(), isThere(3, 'far'));
      await loop.settle();
      t.strictSame([seen, socket.received], [['new 1 lo'], 1]);
      await loop.advance(1001);
      t.strictSame([seen, socket.received], [['new 1 lo', 'new 2 near'], 2]);
      await loop.advance(1001);
      t.strictSame([seen.at(-1), socket.received], ['complete', 3]);
    },
    { ratelimit: { interval: 1000, burst: 1 } },
  ),
);

t.test('a table that is asked to refresh while it is at it does so afterwards, once', async (t) => {
  let asked = 0;
  const table = new LinkTable(
    () => asked++,
    () => {},
  );
  table.refresh();
  table.refresh();
  table.lose();
  t.equal(asked, 1);
  table.take({ type: 'end', listed: true, torn: false });
  t.equal(asked, 2);
  table.take({ type: 'end', listed: true, torn: false });
  t.equal(asked, 2);
});

t.test(
  'as a source it is there while it is subscribed to',
  needsRoot,
  leavingNothing(async (t) => {
    using network = new Network();
    using loop = new EventLoop();
    const finished = loop.run();
    for (let round = 0; round < 3; round++) {
      const seen: string[] = [];
      const told = inNetwork(network.fd.number, () => links(loop).subscribe((event) => seen.push(asText(event))));
      t.match(loop.sources(), [{ kind: 'links' }]);
      await until(() => seen.includes('complete'));
      t.strictSame(seen, ['new 1 lo', 'complete']);
      told.unsubscribe();
    }
    loop.exit();
    await finished;
  }),
);

/** The example in a network of its own. */
function monitoring(t: Tap, network: Network, ...args: readonly string[]): RunningExample {
  return inNetwork(network.fd.number, () => new RunningExample(t, 'link-monitor', { args }));
}

t.test('it prints what is there, and each change, until SIGTERM; no descriptor stays', needsRoot, async (t) => {
  using network = new Network();
  const example = monitoring(t, network);
  await example.prints('complete');
  t.strictSame(example.lines, ['new 1 lo down', 'complete']);
  const before = processFds(example.pid).size;
  for (let round = 0; round < 20; round++) {
    network.run((links) => {
      links.createVeth({ name: `near${round}` }, { name: `far${round}` }, network.fd.number);
      links.setUp(`near${round}`);
      links.setUp(`far${round}`);
    });
    await example.prints(new RegExp(`^new \\d+ near${round} up carrier$`));
    network.run((links) => links.delete(`near${round}`));
    await example.prints(new RegExp(`^gone \\d+ near${round} down$`));
    await example.prints(new RegExp(`^gone \\d+ far${round} down$`));
  }
  t.equal(processFds(example.pid).size, before);
  example.kill('SIGTERM');
  t.equal(await example.ended(), 0);
});

t.test('once, as JSON, it prints what is there, and ends', needsRoot, async (t) => {
  using network = new Network();
  network.run((links) => links.createVeth({ name: 'near' }, { name: 'far' }, network.fd.number));
  const example = monitoring(t, network, '--once', '--json');
  t.equal(await example.ended(), 0);
  const told = example.lines.map((line) => JSON.parse(line));
  t.strictSame(told.map(({ event, name }) => `${event} ${name}`).sort(), ['new far', 'new lo', 'new near']);
  t.match(told, [{ index: 1, name: 'lo', flags: 8, up: false, carrier: false }]);
});

t.test('an interface that leaves its bridge is not gone', needsRoot, async (t) => {
  using network = new Network();
  network.run((links) => links.createVeth({ name: 'near' }, { name: 'far' }, network.fd.number));
  const example = monitoring(t, network);
  await example.prints('complete');
  const put = (flags: number, ...attributes: readonly Buffer[]) => {
    const body = [Buffer.alloc(16), ...attributes];
    using netlink = inNetwork(network.fd.number, () => new Netlink());
    netlink.request({ type: RTM_NEWLINK, name: 'RTM_NEWLINK', flags, body });
  };
  const kind = nested(IFLA_LINKINFO, textAttribute(IFLA_INFO_KIND, 'bridge'));
  try {
    put(NLM_F_CREATE | NLM_F_EXCL, textAttribute(IFLA_IFNAME, 'bridge'), kind);
  } catch (error) {
    if (!isSystemError(error, 'EOPNOTSUPP')) throw error;
    t.comment('this kernel has no bridges');
    return;
  }
  const index = network.run((links) => links.find('bridge'))?.index ?? 0;
  put(0, textAttribute(IFLA_IFNAME, 'near'), uint32Attribute(IFLA_MASTER, index));
  put(0, textAttribute(IFLA_IFNAME, 'near'), uint32Attribute(IFLA_MASTER, 0));
  network.run((links) => links.delete('bridge'));
  await example.prints(/^gone \d+ bridge/);
  t.notOk(example.lines.some((line) => /^gone \d+ near/.test(line)));
  network.run((links) => links.delete('near'));
  await example.prints(/^gone \d+ near/);
});

/** How many messages the kernel had no room for in the socket of a process that hears of interfaces. */
function lost(pid: number): number {
  const [, ...sockets] = readFileSync(`/proc/${pid}/net/netlink`, 'latin1').trim().split('\n');
  const groups = sockets.map((line) => line.trim().split(/\s+/)).filter((fields) => fields[3] === '00000001');
  return groups.reduce((sum, fields) => sum + Number(fields[8]), 0);
}

t.test('when the kernel had no room it says so, and finds out what it missed', needsRoot, async (t) => {
  using network = new Network();
  network.run((links) => links.createVeth({ name: 'near' }, { name: 'far' }, network.fd.number));
  const example = monitoring(t, network);
  await example.prints('complete');
  await example.pause();
  network.run((links) => {
    for (let up = true; lost(example.pid) === 0; up = !up) links.setUp('near', up);
    // Nobody is told of this.
    links.delete('near');
    links.createVeth({ name: 'newer' }, { name: 'farther' }, network.fd.number);
  });
  example.kill('SIGCONT');
  await example.prints(/^lost: /);
  await untilOr(
    LIMIT,
    () => example.lines.lastIndexOf('complete') > example.lines.findIndex((line) => line.startsWith('lost')),
    () => `it never knows again what is there:\n${example.output}`,
  );
  const after = example.lines.slice(example.lines.findIndex((line) => line.startsWith('lost')));
  for (const line of [/^new 1 lo down$/, /^gone \d+ near /, /^gone \d+ far /, /^new \d+ newer down$/])
    t.ok(
      after.some((told) => line.test(told)),
      String(line),
    );
  network.run((links) => links.delete('newer'));
  await example.prints(/^gone \d+ newer/);
});

t.test('an option that there is not is told', async (t) => {
  const path = programPath('../../../examples/dist/link-monitor.js', import.meta.url);
  const { status, stderr } = spawnSync(process.execPath, [path, '--never'], { encoding: 'utf8' });
  t.equal(status, 1);
  t.match(stderr, /^link-monitor: Unknown option '--never'/);
});
