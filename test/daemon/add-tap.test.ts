import { openSync, readFileSync, writeFileSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import {
  attachTun,
  connect,
  Fd,
  IFF_NO_PI,
  IFF_TAP,
  IFF_UP,
  IFF_VNET_HDR,
  type Link,
  Links,
  libc,
  namespaceInode,
  openTun,
  sendMessage,
  unixSocket,
  write,
} from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, mapOf, refused, USERNS } from '../support/allocation.js';
import { asUser } from '../support/as-user.js';
import { UID } from '../support/call-as.js';
import { childrenOf } from '../support/children.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { inNetwork } from '../support/in-network.js';
import { forget, plant } from '../support/plant.js';
import { needsTun } from '../support/privileges.js';
import { programPath } from '../support/program-path.js';
import { runNode } from '../support/run-node.js';
import { leavingNoTrace } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const API = 'io.systemd.NamespaceResource';
const METHOD = `${API}.AddNetworkToUserNamespace`;
const HOST = 'ns-6f6d5c53ef22';
const LIMIT = 60_000;

const KIND = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
const VNET_HEADER_SIZE = 10;
const TUNSETPERSIST = 0x4004_54cb;
const ioctl = libc<(fd: number, request: number, argument: number) => number>('int ioctl(int, ulong, ulong)');

const attachTunAs = programPath('../linux/programs/attach-tun-as.js', import.meta.url);

const made: RawReply = { parameters: { hostInterfaceName: HOST, interfaceFileDescriptor: 0 } };
const denied: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };

/** A reply, and the descriptor that came with it. */
interface Answer {
  readonly reply: RawReply;
  readonly tap: Fd;
}

async function callAsUser(uid: number, daemon: Daemon, method: string, parameters: object, fd: Fd): Promise<Answer> {
  const received: number[] = [];
  const call = () => varlinkCall(daemon.socketPath, method, parameters, { fds: [fd.number], received });
  const reply = await asUser(uid, call);
  const [tap = -1, ...others] = received;
  if (others.length > 0) throw new Error('more than one descriptor came');
  return { reply, tap: new Fd(tap) };
}

function add(daemon: Daemon, namespace: UserNamespace, uid = 0): Promise<Answer> {
  using fd = namespace.open();
  return callAsUser(uid, daemon, METHOD, { [USERNS]: 0, mode: 'tap' }, fd);
}

/** What the daemon refuses a tap with. */
async function refusal(daemon: Daemon, namespace: UserNamespace, uid = 0): Promise<RawReply> {
  const { reply, tap } = await add(daemon, namespace, uid);
  if (tap.number >= 0) throw new Error('a descriptor came');
  return reply;
}

/** Does something where the daemon's interfaces are. */
function onHost<T>({ pid }: Daemon, body: (links: Links) => T): T {
  using network = new Fd(openSync(`/proc/${pid}/ns/net`, 'r'));
  return inNetwork(network.number, () => {
    using links = new Links();
    return body(links);
  });
}

const find = (daemon: Daemon, name = HOST): Link | undefined => onHost(daemon, (links) => links.find(name));
const namesOf = (daemon: Daemon) => onHost(daemon, (links) => links.all().map(({ name }) => name));

/** The error with which a user attaches to the interface; EBUSY is what only its owner gets. */
function attachAs(daemon: Daemon, uid: number): string {
  return onHost(daemon, () => runNode([attachTunAs, String(uid), HOST, String(KIND)])).output;
}

/** The interfaces on a namespace's list; undefined if it is not registered. */
function netifsOf({ runtimeDirectory }: Daemon, name = 'web'): readonly string[] | undefined {
  using registry = Registry.open(runtimeDirectory);
  const entry = registry.byName(name);
  return entry && (entry.netifs ?? []);
}

function persist(tap: Fd): void {
  if (ioctl(tap.number, TUNSETPERSIST, 1) !== 0) throw new Error('TUNSETPERSIST failed');
}

/** Waits until the host has nothing but its loopback interface. */
function untilAlone(daemon: Daemon): Promise<void> {
  return untilOr(
    LIMIT,
    () => String(namesOf(daemon)) === 'lo',
    () => `left are ${namesOf(daemon)}\n${daemon.log()}`,
  );
}

t.test('AddNetworkToUserNamespace with a tap', needsTun, async (t) => {
  // In a network namespace of its own, so that a test that is killed leaves no interface.
  const daemon = await startDaemon(t, { through: ['unshare', '--net', '--'] });
  await t.test(
    'leaves nothing behind',
    leavingNoTrace(daemon, (t) => allTests(t, daemon)),
  );
});

async function allTests(t: Test, daemon: Daemon): Promise<void> {
  /** A test with a namespace that has a range, and is released after it. */
  const test = (name: string, body: (t: Test, namespace: UserNamespace) => Promise<unknown>) =>
    t.test(name, async (t) => {
      using namespace = new UserNamespace([], '--net');
      {
        using fd = namespace.open();
        await allocate(daemon, fd, 'web');
      }
      await body(t, namespace);
      await namespace.end();
      await untilAlone(daemon);
      await untilOr(
        LIMIT,
        () => netifsOf(daemon) === undefined,
        () => `not released\n${daemon.log()}`,
      );
    });

  await test('gives an interface that is down, by its descriptor, as long as that is open', async (t, namespace) => {
    const { reply, tap } = await add(daemon, namespace);
    t.strictSame(reply, made);
    const link = find(daemon);
    t.match(link, { name: HOST, alternativeNames: ['ns-0-web'] });
    t.equal((link?.flags ?? IFF_UP) & IFF_UP, 0);
    t.strictSame(netifsOf(daemon), [HOST]);
    tap.close();
    await untilAlone(daemon);
    t.strictSame(netifsOf(daemon), [HOST], 'the name stays its own');
  });

  await test('takes Ethernet frames with the header of virtio before them', async (t, namespace) => {
    const { tap } = await add(daemon, namespace);
    using open = tap;
    onHost(daemon, (links) => links.setUp(HOST));
    write(open.number, Buffer.alloc(VNET_HEADER_SIZE + 60));
    const statistics = onHost(daemon, () => readFileSync('/proc/thread-self/net/dev', 'ascii'));
    t.match(statistics, new RegExp(`^ *${HOST}: *60 +1 `, 'm'), 'one packet was received');
  });

  await test("makes the namespace's root its owner", async (t, namespace) => {
    using tap = (await add(daemon, namespace)).tap;
    const start = Number(mapOf(namespace).split(' ')[1]);
    t.equal(attachAs(daemon, start), 'EBUSY');
    t.equal(attachAs(daemon, start + 1), 'EPERM');
    t.ok(tap.number >= 0);
  });

  await test('has one for a namespace at a time, and makes it again', async (t, namespace) => {
    {
      using _tap = (await add(daemon, namespace)).tap;
      t.strictSame(await refusal(daemon, namespace), failed('EBUSY', 16));
      t.strictSame(netifsOf(daemon), [HOST]);
    }
    await untilAlone(daemon);
    const { reply, tap } = await add(daemon, namespace);
    using _open = tap;
    t.strictSame(reply, made);
    t.match(find(daemon), { alternativeNames: ['ns-0-web'] });
    t.strictSame(netifsOf(daemon), [HOST]);
  });

  await test('attaches again to one that was made persistent, and removes it with the namespace', async (t, namespace) => {
    {
      using tap = (await add(daemon, namespace)).tap;
      persist(tap);
    }
    const { index } = find(daemon) ?? {};
    const { reply, tap } = await add(daemon, namespace);
    using _open = tap;
    t.strictSame(reply, made);
    t.equal(find(daemon)?.index, index);
    t.notMatch(daemon.log(), "can't have the alternative name");
  });

  await test('removes it with the namespace, whoever has its descriptor', async (t, namespace) => {
    using _tap = (await add(daemon, namespace)).tap;
    t.ok(find(daemon));
    await namespace.end();
    await untilAlone(daemon);
  });

  await test('has it on the list when it is made, whatever other calls did meanwhile', async (t, namespace) => {
    const launchers = daemon.children().flatMap(childrenOf);
    for (const pid of launchers) process.kill(pid, 'SIGSTOP');
    const answer = add(daemon, namespace);
    await untilOr(
      LIMIT,
      () => String(netifsOf(daemon)) === HOST,
      () => `on the list is ${netifsOf(daemon)}`,
    );
    // As one that failed at the same time.
    using registry = Registry.open(daemon.runtimeDirectory);
    const entry = registry.byName('web');
    if (entry === undefined) throw new Error('not registered');
    registry.update({ ...entry, netifs: [] });
    for (const pid of launchers) process.kill(pid, 'SIGCONT');
    const { reply, tap } = await answer;
    using _open = tap;
    t.strictSame(reply, made);
    t.strictSame(netifsOf(daemon), [HOST]);
  });

  await test("leaves another's alone that has the name", async (t, namespace) => {
    onHost(daemon, (links) => {
      using foreign = openTun();
      attachTun(foreign.number, HOST, KIND);
      persist(foreign);
      links.addAlternativeName(HOST, 'ns-1000-other');
    });
    t.strictSame(await refusal(daemon, namespace), failed('EBUSY', 16));
    t.strictSame(netifsOf(daemon), []);
    onHost(daemon, (links) => links.delete(HOST));
  });

  await test('has no room beside a veth pair without a name', async (t, namespace) => {
    using fd = namespace.open();
    using network = namespace.open('net');
    const parameters = { [USERNS]: 0, networkNamespaceFileDescriptor: 1, mode: 'veth' };
    await varlinkCall(daemon.socketPath, METHOD, parameters, { fds: [fd.number, network.number] });
    t.strictSame(await refusal(daemon, namespace), failed('EINVAL', 22));
    t.strictSame(netifsOf(daemon), [HOST]);
    t.ok(find(daemon));
  });

  await test('leaves nothing of a client that does not wait for the answer', async (t, namespace) => {
    using fd = namespace.open();
    const message = { method: METHOD, parameters: { [USERNS]: 0, mode: 'tap' } };
    for (let round = 0; round < 20; round++) {
      using client = unixSocket();
      connect(client.number, daemon.socketPath);
      sendMessage(client.number, Buffer.from(`${JSON.stringify(message)}\0`), { fds: [fd.number] });
    }
    await untilAlone(daemon);
    // A call that was not answered yet may have it still.
    let answer = await add(daemon, namespace);
    while (answer.reply.parameters?.errnoName === 'EBUSY') answer = await add(daemon, namespace);
    t.strictSame(answer.reply, made);
    answer.tap.close();
  });

  await t.test('serves a user who registered a namespace of his own', async (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    {
      using fd = namespace.open();
      await callAsUser(UID, daemon, `${API}.RegisterUserNamespace`, { name: 'own', [USERNS]: 0 }, fd);
    }
    const { reply, tap } = await add(daemon, namespace, UID);
    using _open = tap;
    t.equal(reply.error, undefined);
    const host = String(reply.parameters?.hostInterfaceName);
    t.match(find(daemon, host), { alternativeNames: ['ns-1000-1000-own'] });
    t.strictSame(netifsOf(daemon, '1000-own'), [host]);
    const attached = onHost(daemon, () => runNode([attachTunAs, String(UID), host, String(KIND)]));
    t.equal(attached.output, 'EBUSY');
    await namespace.end();
    await untilAlone(daemon);
  });

  await t.test('refuses a user a namespace that root registered, and one that nobody did', async (t) => {
    using namespace = new UserNamespace(UID);
    t.strictSame(await refusal(daemon, namespace, UID), refused('UserNamespaceNotRegistered'));
    using _planted = plantFor(namespace);
    t.strictSame(await refusal(daemon, namespace, UID), denied);
    t.strictSame(namesOf(daemon), ['lo']);
  });

  for (const [what, uidMap, gidMap, reply] of [
    ['without maps', undefined, undefined, failed('ENOMSG', 42)],
    ['without a root', '1 100000 1', '1 100000 1', failed('ENOMSG', 42)],
    ['whose root is of a group with another id', '0 100000 1', '0 200000 1', failed('EUCLEAN', 117)],
  ] as const) {
    await t.test(`refuses a namespace ${what}, and takes the interface off the list`, async (t) => {
      using namespace = new UserNamespace();
      for (const [file, map] of [
        ['uid_map', uidMap],
        ['gid_map', gidMap],
      ] as const)
        if (map !== undefined) writeFileSync(`/proc/${namespace.child.pid}/${file}`, map);
      using _planted = plantFor(namespace);
      t.strictSame(await refusal(daemon, namespace), reply);
      t.strictSame(netifsOf(daemon, 'planted'), []);
      t.strictSame(namesOf(daemon), ['lo']);
    });
  }

  function plantFor(namespace: UserNamespace): Disposable {
    using fd = namespace.open();
    const userns = namespaceInode(fd.number);
    // A dead one may have had its inode, and not be released yet.
    forget(daemon, userns);
    return plant(daemon, { userns });
  }
}

t.test('where there is no /dev/net/tun a tap is not supported', needsTun, async (t) => {
  const hide = 'mount -t tmpfs tmpfs /dev/net && exec "$@"';
  const daemon = await startDaemon(t, { through: ['unshare', '--net', '--mount', 'sh', '-ec', hide, 'sh'] });
  using namespace = new UserNamespace();
  {
    using fd = namespace.open();
    await allocate(daemon, fd, 'web');
  }
  t.strictSame(await refusal(daemon, namespace), failed('EOPNOTSUPP', 95));
  t.strictSame(netifsOf(daemon), []);
});
