import { chownSync, openSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { type NamespaceEntry, namespaceResource } from '@sdrx/daemon';
import { Fd, type Link, Links, namespaceInode, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { cgroupId, makeCgroup, needsCgroups } from '../support/cgroup.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsDebianTree, treeProgram, treeRelease } from '../support/debian-tree.js';
import { Folder } from '../support/folder.js';
import { inNetwork } from '../support/in-network.js';
import { plant } from '../support/plant.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';

const MOUNT = 'mountFileDescriptor';
const CGROUP = 'controlGroupFileDescriptor';
const NETWORK = 'networkNamespaceFileDescriptor';
const RANGE = { start: 0x9_0000, size: 65_536, target: 0 };

type Method = keyof typeof namespaceResource.methods;

/** Two daemons in network namespaces of their own: one with our workers, one with systemd's. */
async function startBoth(t: Test): Promise<readonly [Daemon, Daemon]> {
  const through = ['unshare', '--net', '--'];
  const ours = await startDaemon(t, { through });
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const worker = treeProgram(t, folder.path, '/usr/lib/systemd/systemd-nsresourcework', ['NSRESOURCE_API=1']);
  const theirs = await startDaemon(t, { runtimeDirectory: folder.path, worker, through });
  // Every user may connect.
  // What else uses the folder must be gone before it is.
  t.teardown(() => theirs.stop());
  return [ours, theirs];
}

/** A reply without what only newer releases of systemd add: whose error number it is, and its name. */
function plain({ error, parameters }: RawReply): RawReply {
  if (error !== 'io.systemd.System') return { ...(error && { error }), parameters: parameters ?? {} };
  return { error, parameters: { errno: parameters?.errno } };
}

interface Query {
  readonly what: string;
  readonly method: Method;
  /** Over those of a good call. */
  readonly more?: object;
  readonly uid?: number;
  /** Who made the namespace; the client unless said. */
  readonly owner?: number;
  /** What is registered of it, if anything. */
  readonly entry?: Partial<NamespaceEntry>;
  /** What stands for the namespace's descriptor, 0, or for what comes with it, 1. */
  readonly userns?: (namespace: UserNamespace) => Fd;
  readonly other?: (namespace: UserNamespace, folder: Folder) => Fd;
  /** What root writes into the namespace's maps, of users and of groups. */
  readonly maps?: readonly [uids: string, gids: string];
  /** The release from which on systemd does the same; an older one must do something else. */
  readonly since?: number;
  /** Whether all is right until systemd asks polkit, from 258 on, which is not in the tree. */
  readonly asksPolkit?: boolean;
}

const open = (path: string, flags = 0) => new Fd(openSync(path, flags));
const netOf = ({ child }: UserNamespace, flags = 0) => open(`/proc/${child.pid}/ns/net`, flags);

/** The descriptors that are no user namespace that one may pass. */
const wrongNamespaces: readonly Omit<Query, 'method'>[] = [
  { what: 'a network namespace', userns: netOf },
  { what: 'a file', userns: () => open('/etc/passwd') },
  { what: 'a folder', userns: () => open('/') },
  { what: 'the own namespace', userns: () => open('/proc/self/ns/user') },
  { what: 'O_PATH', userns: ({ child }) => open(`/proc/${child.pid}/ns/user`, O_PATH) },
  { what: 'O_NONBLOCK', userns: ({ child }) => open(`/proc/${child.pid}/ns/user`, O_NONBLOCK) },
  { what: 'one that was not passed', more: { [USERNS]: 7 } },
  { what: 'no namespace', more: { [USERNS]: undefined } },
  { what: 'an unknown parameter', more: { nonsense: 1 } },
];

const range = { range: RANGE };
const seventeen = Array.from({ length: 17 }, (_, index) => BigInt(index + 1));
const netifs = seventeen.map((number) => `ns-${number}`);
const tap = { mode: 'tap', [NETWORK]: undefined };
const names = [
  ...[
    'eth0',
    'a',
    'a'.repeat(15),
    'a.b',
    '-',
    '-5',
    '+',
    '1x',
    'x1',
    '0x',
    '0xg',
    '09',
    '0b2',
    '~',
    '"',
    '\\',
    '@',
    '#',
  ],
  ...['', '.', '..', 'all', 'default', 'a'.repeat(16), 'a b', 'a\tb', 'a/b', 'a:b', 'a%b', 'ä'],
  ...['0', '1', '007', '4294967296', '99999999999', '+5', '0x10', '0b11', '0o17', '+0x10', '1e3'],
];

const queries: readonly Query[] = [
  ...(
    [
      'RegisterUserNamespace',
      'AddMountToUserNamespace',
      'AddControlGroupToUserNamespace',
      'AddNetworkToUserNamespace',
    ] as const
  ).flatMap((method) => wrongNamespaces.map((query): Query => ({ ...query, method, entry: range }))),

  // The empty name is one for systemd before 258.
  ...['a/b', 'ä', 'a'.repeat(40), 5, null].map(
    (name): Query => ({ what: `the name ${name}`, method: 'RegisterUserNamespace', more: { name } }),
  ),
  { what: 'a namespace without maps', method: 'RegisterUserNamespace' },
  { what: 'a namespace without maps of another', method: 'RegisterUserNamespace', uid: UID, owner: 0 },

  { what: 'nobody in particular', method: 'AddMountToUserNamespace', uid: UID, entry: range },
  { what: 'one that is not registered', method: 'AddMountToUserNamespace' },
  { what: 'a file as the mount', method: 'AddMountToUserNamespace', other: () => open('/etc/passwd') },
  {
    what: 'a link as the mount',
    method: 'AddMountToUserNamespace',
    other: (_, folder) => open(folder.join('link'), O_PATH | O_NOFOLLOW),
  },
  { what: 'a mount with O_NONBLOCK', method: 'AddMountToUserNamespace', other: () => open('/', O_NONBLOCK) },
  { what: 'no mount', method: 'AddMountToUserNamespace', more: { [MOUNT]: undefined } },
  { what: 'a mount that was not passed', method: 'AddMountToUserNamespace', more: { [MOUNT]: 7 } },

  { what: 'one that is not registered', method: 'AddControlGroupToUserNamespace' },
  { what: 'one without a range', method: 'AddControlGroupToUserNamespace', entry: {} },
  {
    what: 'one with 16 cgroups',
    method: 'AddControlGroupToUserNamespace',
    entry: { ...range, cgroups: seventeen.slice(1) },
  },
  { what: 'one with 17 cgroups', method: 'AddControlGroupToUserNamespace', entry: { ...range, cgroups: seventeen } },
  {
    what: 'a folder as the cgroup',
    method: 'AddControlGroupToUserNamespace',
    entry: range,
    other: () => open('/', O_DIRECTORY),
  },
  {
    what: 'a file as the cgroup',
    method: 'AddControlGroupToUserNamespace',
    entry: range,
    other: () => open('/etc/passwd'),
  },
  {
    what: 'a cgroup with O_PATH',
    method: 'AddControlGroupToUserNamespace',
    entry: range,
    other: () => open('/', O_PATH),
  },
  { what: 'no cgroup', method: 'AddControlGroupToUserNamespace', entry: range, more: { [CGROUP]: undefined } },
  {
    what: 'a cgroup that was not passed',
    method: 'AddControlGroupToUserNamespace',
    entry: range,
    more: { [CGROUP]: 7 },
  },
  { what: 'a good cgroup', method: 'AddControlGroupToUserNamespace', entry: range },
  {
    what: 'a cgroup of root by a user',
    method: 'AddControlGroupToUserNamespace',
    uid: UID,
    entry: { ...range, owner: UID },
    asksPolkit: true,
  },
  {
    what: 'a namespace that root registered',
    method: 'AddControlGroupToUserNamespace',
    uid: UID,
    entry: range,
    asksPolkit: true,
  },

  { what: 'one that is not registered', method: 'AddNetworkToUserNamespace' },
  {
    what: 'one that is not registered, in another mode',
    method: 'AddNetworkToUserNamespace',
    more: { mode: 'bridge' },
  },
  ...['', 'Veth', 'bridge', 5].map(
    (mode): Query => ({ what: `the mode ${mode}`, method: 'AddNetworkToUserNamespace', entry: range, more: { mode } }),
  ),
  { what: 'no mode', method: 'AddNetworkToUserNamespace', entry: range, more: { mode: undefined } },
  ...names.map(
    (name): Query => ({
      what: `the interface ${JSON.stringify(name)}`,
      method: 'AddNetworkToUserNamespace',
      entry: range,
      more: { namespaceInterfaceName: name },
    }),
  ),
  {
    what: 'a network that is no namespace',
    method: 'AddNetworkToUserNamespace',
    entry: range,
    other: () => open('/etc/passwd'),
  },
  {
    what: 'a user namespace as the network',
    method: 'AddNetworkToUserNamespace',
    entry: range,
    other: ({ child }) => open(`/proc/${child.pid}/ns/user`),
  },
  {
    what: "the host's network",
    method: 'AddNetworkToUserNamespace',
    entry: range,
    other: () => open('/proc/self/ns/net'),
  },
  {
    what: 'a network with O_PATH',
    method: 'AddNetworkToUserNamespace',
    entry: range,
    other: (namespace) => netOf(namespace, O_PATH),
  },
  { what: 'no network', method: 'AddNetworkToUserNamespace', entry: range, more: { [NETWORK]: undefined } },
  {
    what: 'a wrong interface and a wrong mode',
    method: 'AddNetworkToUserNamespace',
    entry: range,
    more: { mode: 'bridge', namespaceInterfaceName: 'a/b' },
    since: 258,
  },
  ...(
    [
      { what: 'a tap with a network', more: { mode: 'tap' } },
      { what: 'a tap with an interface inside', more: { mode: 'tap', namespaceInterfaceName: 'eth0' } },
      { what: 'a tap with a wrong interface inside', more: { ...tap, namespaceInterfaceName: 'a/b' } },
      { what: 'a tap of a namespace without maps', more: tap },
      { what: 'a tap of a namespace without a root', more: tap, maps: ['1 589824 1', '1 589824 1'] },
      { what: 'a tap of a root with another group', more: tap, maps: ['0 589824 1', '0 655360 1'] },
      { what: 'a good tap', more: tap, maps: ['0 589824 65536', '0 589824 65536'] },
    ] as const
  ).map((query): Query => ({ method: 'AddNetworkToUserNamespace', entry: range, since: 258, ...query })),
  { what: 'a tap of one that is not registered', method: 'AddNetworkToUserNamespace', more: tap, since: 258 },
  {
    what: '16 interfaces',
    method: 'AddNetworkToUserNamespace',
    entry: { ...range, netifs: netifs.slice(1) },
    since: 260,
  },
  { what: '17 interfaces', method: 'AddNetworkToUserNamespace', entry: { ...range, netifs }, since: 260 },
  {
    what: '17 control groups and 17 interfaces for a tap',
    method: 'AddNetworkToUserNamespace',
    entry: { ...range, cgroups: seventeen, netifs },
    more: tap,
    since: 260,
  },
  { what: 'a network that was not passed', method: 'AddNetworkToUserNamespace', entry: range, more: { [NETWORK]: 7 } },
  { what: 'a good network', method: 'AddNetworkToUserNamespace', entry: range },
  {
    what: 'a good network of a user',
    method: 'AddNetworkToUserNamespace',
    uid: UID,
    entry: { ...range, owner: UID, name: '1000-web' },
    asksPolkit: true,
  },
  {
    what: 'a network of a namespace that root registered',
    method: 'AddNetworkToUserNamespace',
    uid: UID,
    entry: range,
    asksPolkit: true,
  },
  { what: 'a network of somebody else', method: 'AddNetworkToUserNamespace', uid: UID, owner: UID + 1, entry: range },
];

/** What came of a call: the reply, and all that can be seen of its effects. */
function ask(t: Test, daemon: Daemon, folder: Folder, query: Query): object {
  const { method, more, uid = 0, entry } = query;
  using namespace = new UserNamespace(query.owner ?? uid, '--net');
  for (const [index, map] of (query.maps ?? []).entries())
    writeFileSync(`/proc/${namespace.child.pid}/${index === 0 ? 'uid_map' : 'gid_map'}`, map);
  using userns = query.userns?.(namespace) ?? namespace.open();
  using own = namespace.open();
  const inode = namespaceInode(own.number);
  using _planted =
    entry === undefined ? undefined : plant(daemon, { owner: 0, name: 'web', cgroups: [], ...entry, userns: inode });
  const cgroup = method === 'AddControlGroupToUserNamespace' ? makeCgroup(t) : undefined;
  const second: Partial<Record<Method, () => Fd>> = {
    AddMountToUserNamespace: () => open('/', O_DIRECTORY),
    AddControlGroupToUserNamespace: () => open(cgroup ?? '', O_DIRECTORY),
    AddNetworkToUserNamespace: () => netOf(namespace),
  };
  using other = query.other?.(namespace, folder) ?? second[method]?.();
  const parameters: Record<Method, object> = {
    AllocateUserRange: {},
    RegisterUserNamespace: { name: 'web' },
    AddMountToUserNamespace: { [MOUNT]: 1 },
    AddControlGroupToUserNamespace: { [CGROUP]: 1 },
    AddNetworkToUserNamespace: { [NETWORK]: 1, mode: 'veth' },
  };
  const fds = [userns, ...(other === undefined ? [] : [other])].map(({ number }) => number);
  const full = { ...parameters[method], [USERNS]: 0, ...more };
  const reply = plain(callAs(uid, daemon.socketPath, `${namespaceResource.name}.${method}`, full, fds));

  const file = `${daemon.registryDirectory}/i${inode}.userns`;
  // From systemd 260 on interfaces are noted, and where groups begin also where that is as for users.
  const {
    netifs: _,
    startGid: __,
    targetGid: ___,
    ...registered
  } = entry === undefined ? {} : JSON.parse(readFileSync(file, 'utf8'));
  const id = cgroup === undefined ? undefined : Number(cgroupId(cgroup));
  using hostNetwork = open(`/proc/${daemon.pid}/ns/net`);
  using inside = netOf(namespace);
  // It is gone with the client, in a moment.
  const tapName =
    reply.parameters?.interfaceFileDescriptor === undefined ? undefined : reply.parameters.hostInterfaceName;
  return {
    reply,
    // What differs on purpose between two namespaces.
    registered: {
      ...registered,
      userns: 0,
      cgroups: registered.cgroups?.map((known: number) => known === id || known),
    },
    cgroup:
      cgroup && ['.', 'cgroup.procs', 'cgroup.threads', 'cgroup.events'].map((name) => describe(`${cgroup}/${name}`)),
    host: linksIn(hostNetwork).filter(({ name }) => name !== tapName),
    inside: linksIn(inside),
  };
}

function describe(path: string): string {
  const { uid, gid, mode } = statSync(path);
  return `${uid}:${gid} ${mode.toString(8)}`;
}

/** An interface, as far as it is the same each time. */
interface Seen extends Pick<Link, 'name' | 'alternativeNames' | 'flags'> {
  readonly address: string;
}

function linksIn(network: Fd): Seen[] {
  return inNetwork(network.number, () => {
    using links = new Links();
    return links.all().map(({ name, alternativeNames, address, flags }) => ({
      name,
      alternativeNames,
      flags,
      address: address.toString('hex'),
    }));
  });
}

/** Waits until what an earlier call made is gone with its network namespace. */
async function untilAlone(pid: number): Promise<void> {
  using network = open(`/proc/${pid}/ns/net`);
  await until(() => linksIn(network).length === 1);
}

t.test('our worker does what systemd-nsresourcework does', { ...needsDebianTree, ...needsCgroups }, async (t) => {
  const [ours, theirs] = await startBoth(t);
  using folder = new Folder();
  symlinkSync('.', folder.join('link'));
  const release = treeRelease();
  writeFileSync(folder.join('file'), '');
  chownSync(folder.join('file'), UID, UID);
  for (const query of queries) {
    for (const { pid } of [ours, theirs]) await untilAlone(pid);
    const who = query.uid === undefined ? '' : ` for user ${query.uid}`;
    const [own, other] = [ask(t, ours, folder, query), ask(t, theirs, folder, query)];
    const what = `${query.method} with ${query.what}${who}`;
    const { since = 0, asksPolkit = false } = query;
    if (release < since) t.notSame(own, other, `${what}, not the same: systemd does so from ${since} on`);
    else if (asksPolkit && release >= 258) t.pass(`${what}, for which systemd asks polkit`);
    else t.strictSame(own, other, what);
  }
  t.ok(queries.length >= 80, `${queries.length} calls`);
});
