import { chmodSync, writeFileSync } from 'node:fs';
import { Ledger, Registry } from '@sdrx/daemon';
import {
  type ChildProcess,
  type Fd,
  namespaceInode,
  ReceiveBuffer,
  setNonBlocking,
  socketPair,
  spawn,
} from '@sdrx/linux';
import t, { type Test } from 'tap';
import { failed, given, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { needsRoot } from '../support/privileges.js';
import { readable } from '../support/readable.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { workersOf } from '../support/workers.js';

const SERVICE = 'io.systemd.NamespaceResource';
const ANOTHER = 1001;
const TOO_MANY = failed('EUSERS', 87);

/** Connects, calls, passes the reply on to its standard output, and keeps the connection until its input ends. */
const CLIENT = `
import socket, sys
client = socket.socket(socket.AF_UNIX)
client.connect(sys.argv[1])
try:
    client.sendall(b'{"method":"org.varlink.service.GetInfo"}\\0')
except BrokenPipeError:
    pass
text = b''
while not text.endswith(b'\\0'):
    data = client.recv(65536)
    if not data: sys.exit('closed without a reply')
    text += data
sys.stdout.buffer.write(text)
sys.stdout.flush()
sys.stdin.read()
`;

/** How a program is run by another user of the host. */
const asUser = (uid: number) => ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups'];

/** How a program is run by a user of a namespace. */
const inside = ({ child }: UserNamespace, uid: number) => [
  ...['nsenter', '--user', `--target=${child.pid}`],
  ...[`--setuid=${uid}`, `--setgid=${uid}`],
];

/** A process that keeps one connection. */
class Client implements Disposable {
  readonly #process: ChildProcess;
  readonly #ours: Fd;

  private constructor(process: ChildProcess, ours: Fd) {
    this.#process = process;
    this.#ours = ours;
  }

  /** @param as what runs it: a program with its arguments */
  static async start(as: readonly string[], path: string): Promise<readonly [client: Client, reply: RawReply]> {
    const [ours, theirs] = socketPair();
    setNonBlocking(theirs.number, false);
    const [file = '', ...args] = [...as, '/usr/bin/python3', '-c', CLIENT, path];
    const client = new Client(spawn(file, { args, fds: [theirs, theirs, 2] }), ours);
    theirs.close();
    await readable(ours.number);
    const buffer = new ReceiveBuffer(65_536);
    const count = buffer.receive(ours.number, []) ?? 0;
    return [client, JSON.parse(buffer.bytes.toString('utf8', 0, count).replace('\0', ''))];
  }

  /** Ends the process. */
  [Symbol.dispose](): void {
    this.#ours.close();
    waitForExit(this.#process);
  }
}

/** A daemon all of whose workers serve. */
async function startWithWorkers(t: Test, options: DaemonOptions): Promise<Daemon> {
  const daemon = await startDaemon(t, options);
  await workersOf(daemon, 5, 'nsresourcework');
  await until(() => {
    using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
    return [0, 1, 2, 3, 4].every((slot) => ledger?.condition(slot) === 'serving');
  });
  return daemon;
}

/** Gives a namespace of a user's a range. @returns its first id */
function lend(daemon: Daemon, namespace: UserNamespace, uid: number): number {
  using fd = namespace.open();
  const parameters = { name: 'lent', size: 65_536, [USERNS]: 0 };
  const reply = callAs(uid, daemon.socketPath, `${SERVICE}.AllocateUserRange`, parameters, [fd.number]);
  using registry = Registry.open(daemon.runtimeDirectory);
  const start = registry.byInode(namespaceInode(fd.number))?.range?.start;
  if (start === undefined) throw new Error(`no range: ${JSON.stringify(reply)}`);
  return start;
}

/** Makes connections one after the other, that are ended with the test. @returns the replies */
async function connections(
  t: Test,
  { socketPath }: Daemon,
  clients: readonly (readonly string[])[],
): Promise<{ readonly replies: (string | undefined)[]; readonly end: () => void }> {
  const started: Client[] = [];
  const replies: (string | undefined)[] = [];
  const end = () => {
    for (const client of started.splice(0)) client[Symbol.dispose]();
  };
  t.teardown(end);
  for (const as of clients) {
    const [client, reply] = await Client.start(as, socketPath);
    started.push(client);
    replies.push(reply.parameters?.errnoName as string | undefined);
  }
  return { replies, end };
}

async function hasNoConnections(daemon: Daemon): Promise<void> {
  await until(() => {
    using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid);
    return ledger?.total('connections') === 0;
  });
}

t.test('a user has no more connections by being the users of a namespace', needsRoot, async (t) => {
  const daemon = await startWithWorkers(t, { args: ['--max-connections-per-user=4'] });
  using namespace = new UserNamespace(UID);
  const start = lend(daemon, namespace, UID);
  const many = [
    ...[asUser(UID), inside(namespace, 0), inside(namespace, 1), inside(namespace, 65_535)],
    ...[inside(namespace, 2), inside(namespace, 0), asUser(UID), asUser(start + 3), asUser(ANOTHER), asUser(0)],
  ];
  const EUSERS = 'EUSERS';
  const first = await connections(t, daemon, many);
  t.strictSame(first.replies, [...Array(4).fill(undefined), ...Array(4).fill(EUSERS), undefined, undefined]);
  await daemon.waitForLog(new RegExp(`connection of user ${UID} refused: the user has 4 connections, the limit`));
  first.end();
  await hasNoConnections(daemon);
  const second = await connections(
    t,
    daemon,
    [5, 6, 7, 8, 9].map((uid) => inside(namespace, uid)),
  );
  t.strictSame(second.replies, [...Array(4).fill(undefined), EUSERS], 'what is given back is the user’s, too');
  second.end();
});

t.test('a user has no more connections by subordinate ids', needsRoot, async (t) => {
  using folder = new Folder();
  chmodSync(folder.path, 0o755);
  const [subuid, passwd] = [folder.join('subuid'), folder.join('passwd')];
  writeFileSync(subuid, `one:100000:65536\n${ANOTHER}:165536:65536\n`);
  writeFileSync(passwd, `root:x:0:0:::\none:x:${UID}:${UID}:::\n`);
  const mounts = `mount --bind ${subuid} /etc/subuid && mount --bind ${passwd} /etc/passwd && exec "$@"`;
  const daemon = await startWithWorkers(t, {
    args: ['--max-connections-per-user=3'],
    through: ['unshare', '--mount', 'sh', '-c', mounts, 'sh'],
  });
  const uids = [UID, 100_000, 165_535, 100_001, UID, 165_536, ANOTHER, 231_071, 165_537, 231_072];
  const { replies, end } = await connections(t, daemon, uids.map(asUser));
  const served = undefined;
  const of1000 = [served, served, served, 'EUSERS', 'EUSERS'];
  t.strictSame(replies, [...of1000, served, served, served, 'EUSERS', served]);
  end();
});

t.test('a user has no more namespaces by being the users of one', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { args: ['--max-namespaces-per-user=3'] });
  using namespace = new UserNamespace(UID);
  const start = lend(daemon, namespace, UID);
  const register = (uid: number, nested: UserNamespace): RawReply => {
    using fd = nested.open();
    const parameters = { name: 'own', [USERNS]: 0 };
    return callAs(uid, daemon.socketPath, `${SERVICE}.RegisterUserNamespace`, parameters, [fd.number]);
  };
  const registered = (uid: number) => given(`${uid}-own`);
  const nest = (uid: number) => new UserNamespace(inside(namespace, uid), '--map-root-user');
  using first = nest(1);
  using second = nest(2);
  using third = nest(3);
  t.strictSame(register(start + 1, first), registered(start + 1));
  t.strictSame(register(start + 2, second), registered(start + 2));
  t.strictSame(register(start + 3, third), TOO_MANY, 'with the one that lends the ids there are three');
  using another = new UserNamespace(ANOTHER, '--map-root-user');
  t.strictSame(register(ANOTHER, another), registered(ANOTHER));
  await t.test('what is dead is in nobody’s way', numbersNamespaces, async (t) => {
    await first.end();
    t.strictSame(register(start + 3, third), registered(start + 3));
  });
});
