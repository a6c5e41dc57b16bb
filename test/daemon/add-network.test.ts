import { closeSync, openSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { connect, Fd, IFF_UP, type Link, Links, namespaceInode, O_PATH, sendMessage, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, invalid, refused, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { inNetwork } from '../support/in-network.js';
import { forget, plant } from '../support/plant.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';

const METHOD = 'io.systemd.NamespaceResource.AddNetworkToUserNamespace';
const NETWORK = 'networkNamespaceFileDescriptor';
const NAME = 'namespaceInterfaceName';
const LIMIT = 60_000;

/** The interfaces that a process sees. */
function linksOf(pid: number): Link[] {
  using network = new Fd(openSync(`/proc/${pid}/ns/net`, 'r'));
  return inNetwork(network.number, () => {
    using links = new Links();
    return links.all();
  });
}

const namesOf = (pid: number) => linksOf(pid).map(({ name }) => name);

/** Does something with the interfaces of the daemon. */
function onHost({ pid }: Daemon, change: (links: Links) => void): void {
  using network = new Fd(openSync(`/proc/${pid}/ns/net`, 'r'));
  inNetwork(network.number, () => {
    using links = new Links();
    change(links);
  });
}

function netifsOf({ runtimeDirectory }: Daemon, name: string): readonly string[] {
  using registry = Registry.open(runtimeDirectory);
  return registry.byName(name)?.netifs ?? [];
}

interface AddOptions {
  readonly uid?: number;
  readonly more?: object;
  /** The descriptor of the network namespace, by default the one of the user namespace. */
  readonly network?: number;
}

function add(daemon: Daemon, namespace: UserNamespace, { uid = 0, more, network }: AddOptions = {}): RawReply {
  using fd = namespace.open();
  using own = namespace.open('net');
  const fds = [fd.number, network ?? own.number];
  return callAs(uid, daemon.socketPath, METHOD, { [USERNS]: 0, [NETWORK]: 1, mode: 'veth', ...more }, fds);
}

const added = (host: string, inside: string): RawReply => ({
  parameters: { hostInterfaceName: host, namespaceInterfaceName: inside },
});

t.test('AddNetworkToUserNamespace', needsRoot, async (t) => {
  // In a network namespace of its own, so that a test that is killed leaves no interface.
  const daemon = await startDaemon(t, { through: ['unshare', '--net', '--'] });
  await t.test(
    'leaves nothing behind',
    leavingNoTrace(daemon, (t) => allTests(t, daemon)),
  );
});

async function allTests(t: Test, daemon: Daemon): Promise<void> {
  /** A test with a namespace that is registered and has a network, all of which goes with it. */
  const test = (name: string, body: (t: Test, namespace: UserNamespace) => unknown, owner = 0) =>
    t.test(name, async (t) => {
      using namespace = new UserNamespace(owner, '--net');
      {
        using fd = namespace.open();
        if (owner === 0) await allocate(daemon, fd, 'web');
        else {
          const parameters = { name: 'web', size: 65_536, [USERNS]: 0 };
          callAs(owner, daemon.socketPath, METHOD.replace(/\w+$/, 'AllocateUserRange'), parameters, [fd.number]);
        }
      }
      await body(t, namespace);
      await namespace.end();
      await untilOr(
        LIMIT,
        () => String(namesOf(daemon.pid)) === 'lo',
        () => `left are ${namesOf(daemon.pid)}`,
      );
    });

  await test('connects the namespace with the daemon, by an interface at each end that is down', (t, namespace) => {
    t.strictSame(add(daemon, namespace), added('ns-6f6d5c53ef22', 'host0'));
    const [, host, ...others] = linksOf(daemon.pid);
    t.match(host, { name: 'ns-6f6d5c53ef22', alternativeNames: ['ns-0-web'] });
    t.equal(host?.address.toString('hex'), '7a484ab65e5a');
    t.equal((host?.flags ?? IFF_UP) & IFF_UP, 0);
    t.strictSame(others, []);
    const [, inside] = linksOf(namespace.child.pid);
    t.match(inside, { name: 'host0', alternativeNames: [] });
    t.equal(inside?.address.toString('hex'), 'e6b0cfbb898e');
    t.equal((inside?.flags ?? IFF_UP) & IFF_UP, 0);
  });

  await test('calls the interface inside as the client wants, and knows several apart', (t, namespace) => {
    t.strictSame(add(daemon, namespace, { more: { [NAME]: 'eth0' } }), added('ns-12006ff818b9', 'eth0'));
    t.strictSame(add(daemon, namespace), added('ns-6f6d5c53ef22', 'host0'));
    t.strictSame(
      linksOf(daemon.pid).flatMap(({ alternativeNames }) => alternativeNames),
      ['ns-0-web-eth0', 'ns-0-web'],
    );
    t.strictSame(namesOf(namespace.child.pid).sort(), ['eth0', 'host0', 'lo']);
  });

  await test(
    'serves a user who owns the namespace, with the uid in the names',
    (t, namespace) => {
      t.strictSame(add(daemon, namespace, { uid: UID }), added('ns-9787ef424582', 'host0'));
      t.strictSame(linksOf(daemon.pid)[1]?.alternativeNames, ['ns-1000-1000-web']);
    },
    UID,
  );

  await test(
    'lets root ask for the namespace of a user',
    (t, namespace) => {
      t.strictSame(add(daemon, namespace), added('ns-9787ef424582', 'host0'));
    },
    UID,
  );

  await test('makes no interface that there is already, and no other end for it', (t, namespace) => {
    add(daemon, namespace);
    t.strictSame(add(daemon, namespace), failed('EEXIST', 17));
    t.equal(linksOf(daemon.pid).length, 2);
    t.equal(linksOf(namespace.child.pid).length, 2);
  });

  await test('makes nothing on the host when the name inside is taken', (t, namespace) => {
    t.strictSame(add(daemon, namespace, { more: { [NAME]: 'lo' } }), failed('EEXIST', 17));
    t.strictSame(namesOf(daemon.pid), ['lo']);
    t.strictSame(namesOf(namespace.child.pid), ['lo']);
  });

  await test('goes without the alternative name if somebody else has it, and says so', async (t, namespace) => {
    onHost(daemon, (links) => links.addAlternativeName('lo', 'ns-0-web'));
    t.strictSame(add(daemon, namespace), added('ns-6f6d5c53ef22', 'host0'));
    t.strictSame(linksOf(daemon.pid)[1]?.alternativeNames, []);
    await daemon.waitForLog(/interface ns-6f6d5c53ef22 can't have the alternative name ns-0-web: EEXIST/);
    onHost(daemon, (links) => links.deleteAlternativeName('lo', 'ns-0-web'));
  });

  await test('notes the interfaces in the registry, 17 of them as systemd does, and no more', (t, namespace) => {
    const names = Array.from({ length: 17 }, (_, index) => `eth${index}`);
    const hosts = names.map((name) => add(daemon, namespace, { more: { [NAME]: name } }).parameters?.hostInterfaceName);
    t.strictSame(netifsOf(daemon, 'web'), hosts);
    t.strictSame(namesOf(daemon.pid).sort(), ['lo', ...hosts].sort());
    t.strictSame(add(daemon, namespace, { more: { [NAME]: 'eth17' } }), refused('TooManyNetworkInterfaces'));
    t.strictSame(add(daemon, namespace, { more: { [NAME]: 'eth0' } }), refused('TooManyNetworkInterfaces'));
    t.strictSame(netifsOf(daemon, 'web'), hosts);
    t.equal(namesOf(daemon.pid).length, 18);
  });

  await test('takes off the list what could not be made, but not what was there', (t, namespace) => {
    add(daemon, namespace, { more: { [NAME]: 'lo' } });
    t.strictSame(netifsOf(daemon, 'web'), []);
    const { parameters } = add(daemon, namespace);
    t.strictSame(add(daemon, namespace), failed('EEXIST', 17));
    t.strictSame(netifsOf(daemon, 'web'), [parameters?.hostInterfaceName]);
  });

  await test('makes an interface again that was removed', (t, namespace) => {
    add(daemon, namespace);
    onHost(daemon, (links) => links.delete('ns-6f6d5c53ef22'));
    t.strictSame(add(daemon, namespace), added('ns-6f6d5c53ef22', 'host0'));
    t.strictSame(netifsOf(daemon, 'web'), ['ns-6f6d5c53ef22']);
  });

  await test('removes an interface whose other end was taken elsewhere, with its namespace', async (t, namespace) => {
    add(daemon, namespace);
    using other = new UserNamespace([], '--net');
    using inside = namespace.open('net');
    using elsewhere = other.open('net');
    inNetwork(inside.number, () => {
      using links = new Links();
      links.move('host0', elsewhere.number);
    });
    t.strictSame(namesOf(other.child.pid).sort(), ['host0', 'lo']);
    inside.close();
    await namespace.end();
    await untilOr(
      LIMIT,
      () => String(namesOf(daemon.pid)) === 'lo',
      () => `left are ${namesOf(daemon.pid)}\n${daemon.log()}`,
    );
    t.strictSame(namesOf(other.child.pid), ['lo']);
  });

  await test("leaves an interface alone that has the name, but is another's", async (t, namespace) => {
    onHost(daemon, (links) => {
      using here = new Fd(openSync('/proc/thread-self/ns/net', 'r'));
      links.createVeth({ name: 'ns-6f6d5c53ef22' }, { name: 'foreign' }, here.number);
      links.addAlternativeName('ns-6f6d5c53ef22', 'ns-1000-other');
    });
    t.strictSame(add(daemon, namespace), failed('EEXIST', 17));
    t.strictSame(netifsOf(daemon, 'web'), [], 'it is not on the list');
    // As when the daemon is killed before it can take it off.
    using registry = Registry.open(daemon.runtimeDirectory);
    const entry = registry.byName('web');
    if (entry === undefined) throw new Error('not registered');
    registry.update({ ...entry, netifs: ['ns-6f6d5c53ef22'] });
    await namespace.end();
    await untilOr(
      LIMIT,
      () => registry.byName('web') === undefined,
      () => `not released\n${daemon.log()}`,
    );
    t.ok(namesOf(daemon.pid).includes('ns-6f6d5c53ef22'));
    onHost(daemon, (links) => links.delete('ns-6f6d5c53ef22'));
  });

  await test('leaves nothing of a client that does not wait for the answer', async (t, namespace) => {
    using fd = namespace.open();
    using own = namespace.open('net');
    const message = { method: METHOD, parameters: { [USERNS]: 0, [NETWORK]: 1, mode: 'veth' } };
    for (let round = 0; round < 20; round++) {
      using client = unixSocket();
      connect(client.number, daemon.socketPath);
      sendMessage(client.number, Buffer.from(`${JSON.stringify(message)}\0`), { fds: [fd.number, own.number] });
    }
    // Made or not, what is there is on the list, and what is on the list is there.
    await untilOr(
      LIMIT,
      () => String(netifsOf(daemon, 'web')) === String(namesOf(daemon.pid).filter((name) => name !== 'lo')),
      () => `${netifsOf(daemon, 'web')} are on the list, ${namesOf(daemon.pid)} are there`,
    );
    t.ok(netifsOf(daemon, 'web').length <= 1);
  });

  for (const [what, more, reply] of [
    ['another mode', { mode: 'bridge' }, invalid('mode')],
    ['no mode', { mode: undefined }, invalid('mode')],
    ['a name with a slash', { [NAME]: 'a/b' }, invalid('interfaceName')],
    ['an empty name', { [NAME]: '' }, invalid('interfaceName')],
    ['a name of 16 characters', { [NAME]: 'a'.repeat(16) }, invalid('interfaceName')],
    ['a name that is a number', { [NAME]: '1' }, invalid('interfaceName')],
    ['a name that is no text', { [NAME]: 1 }, invalid(NAME)],
    ['a wrong name before a wrong mode', { mode: 'x', [NAME]: '' }, invalid('interfaceName')],
    ['no network', { [NETWORK]: undefined }, invalid(NETWORK)],
    ['no network after a wrong name', { [NETWORK]: undefined, [NAME]: '' }, invalid('interfaceName')],
    ['no network in another mode for the mode', { [NETWORK]: undefined, mode: 'x' }, invalid('mode')],
    ['a network for a tap', { mode: 'tap' }, invalid(NETWORK)],
    ['a name inside for a tap, which has none', { mode: 'tap', [NAME]: 'eth0', [NETWORK]: undefined }, invalid(NAME)],
    ['a name for a tap before a network', { mode: 'tap', [NAME]: 'eth0' }, invalid(NAME)],
    ['a wrong name for a tap', { mode: 'tap', [NAME]: 'a/b' }, invalid('interfaceName')],
    ['a network that was not passed', { [NETWORK]: 2 }, failed('ENXIO', 6)],
    ['no namespace', { [USERNS]: undefined }, invalid(USERNS)],
    ['a namespace that was not passed', { [USERNS]: 2 }, failed('ENXIO', 6)],
    ['the network as the namespace', { [USERNS]: 1 }, invalid(USERNS)],
    ['an unknown parameter', { name: 'x' }, invalid('name')],
  ] as const) {
    await test(`refuses ${what}`, (t, namespace) => {
      t.strictSame(add(daemon, namespace, { more }), reply);
      t.strictSame(namesOf(daemon.pid), ['lo']);
    });
  }

  for (const [what, open, reply] of [
    ['a file', () => openSync('/etc/passwd', 'r'), invalid(NETWORK)],
    ['a user namespace', ({ child }) => openSync(`/proc/${child.pid}/ns/user`, 'r'), invalid(NETWORK)],
    ["the daemon's own network", () => openSync(`/proc/${daemon.pid}/ns/net`, 'r'), invalid(NETWORK)],
    ['a network of another user namespace', () => openSync('/proc/self/ns/net', 'r'), invalid(NETWORK)],
    ['an O_PATH descriptor', ({ child }) => openSync(`/proc/${child.pid}/ns/net`, O_PATH), failed('EREMOTEIO', 121)],
  ] as readonly (readonly [string, (namespace: UserNamespace) => number, RawReply])[]) {
    await test(`refuses ${what} as the network, also in a wrong mode`, (t, namespace) => {
      const network = open(namespace);
      t.strictSame(add(daemon, namespace, { network }), reply);
      t.strictSame(add(daemon, namespace, { network, more: { mode: 'x' } }), reply);
      closeSync(network);
      t.strictSame(namesOf(daemon.pid), ['lo']);
    });
  }

  await test('refuses a namespace of somebody else', (t, namespace) => {
    t.strictSame(add(daemon, namespace, { uid: UID }), invalid(USERNS));
  });

  await t.test('refuses a namespace that is not registered, and a user one that root registered', async (t) => {
    using namespace = new UserNamespace(UID, '--net');
    t.strictSame(add(daemon, namespace, { uid: UID }), refused('UserNamespaceNotRegistered'));
    using fd = namespace.open();
    // A dead one may have had its inode, and not be released yet.
    forget(daemon, namespaceInode(fd.number));
    using _planted = plant(daemon, { userns: namespaceInode(fd.number) });
    const denied: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };
    t.strictSame(add(daemon, namespace, { uid: UID }), denied);
    t.strictSame(namesOf(daemon.pid), ['lo']);
  });

  await t.test('tells anybody that there are too many before it looks who asks', async (t) => {
    using namespace = new UserNamespace(UID, '--net');
    using fd = namespace.open();
    const userns = namespaceInode(fd.number);
    forget(daemon, userns);
    const netifs = Array.from({ length: 17 }, (_, index) => `ns-${index}`);
    using _planted = plant(daemon, { userns, netifs });
    t.strictSame(add(daemon, namespace, { uid: UID }), refused('TooManyNetworkInterfaces'));
  });
}
