import { closeSync, openSync } from 'node:fs';
import { connect, type Fd, O_DIRECTORY, sendMessage, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, invalid, keptFiles, mapOf, USERNS } from '../../support/allocation.js';
import { asUser } from '../../support/as-user.js';
import { UID } from '../../support/call-as.js';
import { makeCgroup, needsCgroups } from '../../support/cgroup.js';
import { type Daemon, launchDaemon, startDaemon } from '../../support/daemon.js';
import { FakePolkit, type PolkitAnswer, type PolkitCall } from '../../support/fake-polkit.js';
import { MessageBus } from '../../support/message-bus.js';
import { needsRoot } from '../../support/privileges.js';
import { runProgram } from '../../support/run-program.js';
import { untilOr } from '../../support/until.js';
import { UserNamespace } from '../../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../../support/varlink-call.js';

const LIMIT = 60_000;
const SERVICE = 'io.systemd.NamespaceResource';
const ACTION = 'io.systemd.namespace-resource';

const DENIED: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };
const CHALLENGED: RawReply = { error: 'io.systemd.InteractiveAuthenticationRequired', parameters: {} };

/** A daemon, and the polkit that it asks. */
interface Asking {
  readonly daemon: Daemon;
  readonly bus: MessageBus;
  readonly polkit: FakePolkit;
}

async function startAsking(t: Test, ...args: string[]): Promise<Asking> {
  const bus = await MessageBus.start(t);
  const polkit = await FakePolkit.start(t, bus);
  // In a network namespace of its own, so that a test that is killed leaves no interface.
  const daemon = await startDaemon(t, { env: bus.environment, args, through: ['unshare', '--net', '--'] });
  return { daemon, bus, polkit };
}

/** Calls a method as a user without privileges. */
function call(daemon: Daemon, method: string, parameters: object, fds: readonly number[]): Promise<RawReply> {
  const all = { [USERNS]: 0, ...parameters };
  return asUser(UID, () => varlinkCall(daemon.socketPath, `${SERVICE}.${method}`, all, { fds }));
}

let names = 0;

/** Asks for ids for a namespace, as the user who has it. */
async function allocateAsUser(daemon: Daemon, namespace: UserNamespace, name = `n${names++}`): Promise<RawReply> {
  using fd = namespace.open();
  return await call(daemon, 'AllocateUserRange', { name, size: 65_536 }, [fd.number]);
}

/** What polkit is asked by this process. */
function question(action: string, details: Readonly<Record<string, string>>): Partial<PolkitCall> {
  const subject = { pidfd: process.pid, pid: process.pid, 'start-time': 0, uid: UID };
  return {
    member: 'CheckAuthorization',
    kind: 'unix-process',
    subject,
    action: `${ACTION}.${action}`,
    details,
    flags: 0,
  };
}

/** A namespace of the user's. */
const ofUser = (...extra: readonly string[]) => new UserNamespace(UID, ...extra);

/** The calls that polkit is asked about, each for a namespace that is made for it. */
const CALLS: readonly {
  readonly method: string;
  readonly action: string;
  readonly details: (name: string) => Readonly<Record<string, string>>;
  /** Options of unshare(1) for the namespace. */
  readonly options: readonly string[];
  /** Whether it has to be registered. */
  readonly registered: boolean;
  readonly parameters: object;
  /** What is passed beside the namespace. */
  readonly open?: (t: Test, namespace: UserNamespace) => number;
  readonly skip?: typeof needsCgroups;
}[] = [
  {
    method: 'AllocateUserRange',
    action: 'allocate-user-namespace',
    details: (name) => ({ name: `${UID}-${name}` }),
    options: [],
    registered: false,
    parameters: { size: 65_536 },
  },
  {
    method: 'RegisterUserNamespace',
    action: 'register-user-namespace',
    details: (name) => ({ name: `${UID}-${name}` }),
    options: ['--map-root-user'],
    registered: false,
    parameters: {},
  },
  {
    method: 'AddControlGroupToUserNamespace',
    action: 'delegate-cgroup',
    details: () => ({}),
    options: [],
    registered: true,
    parameters: { controlGroupFileDescriptor: 1 },
    open: (t) => {
      const path = makeCgroup(t);
      runProgram('chown', [String(UID), path]);
      return openSync(path, O_DIRECTORY);
    },
    skip: needsCgroups,
  },
  {
    method: 'AddNetworkToUserNamespace',
    action: 'delegate-network-interface',
    details: () => ({ type: 'veth' }),
    options: ['--net'],
    registered: true,
    parameters: { networkNamespaceFileDescriptor: 1, mode: 'veth' },
    open: (_, { child }) => openSync(`/proc/${child.pid}/ns/net`, 'r'),
  },
];

t.test('polkit', needsRoot, async (t) => {
  const { daemon, bus, polkit } = await startAsking(t);

  for (const { method, action, details, options, registered, parameters, open, skip = {} } of CALLS) {
    await t.test(method, skip, async (t) => {
      /** Makes a namespace, has it registered if need be, and calls the method with polkit answering so. */
      const withAnswer = async (
        answer: PolkitAnswer,
      ): Promise<{ reply: RawReply; asked: PolkitCall[]; files: boolean }> => {
        using namespace = ofUser(...options);
        const name = `n${names++}`;
        polkit.answer('yes');
        if (registered) {
          await allocateAsUser(daemon, namespace);
          await polkit.taken(1);
        }
        polkit.answer(answer);
        using fd = namespace.open();
        const other = open?.(t, namespace);
        const fds = [fd.number, ...(other === undefined ? [] : [other])];
        const named = registered ? {} : { name };
        const reply = await call(daemon, method, { ...named, ...parameters }, fds);
        if (other !== undefined) closeSync(other);
        const asked = await polkit.taken(1);
        t.match(asked, [question(action, details(name))], `${answer}: asked once, about whom and what it is`);
        t.strictSame(
          asked.map(({ details }) => details),
          [details(name)],
        );
        return { reply, asked, files: keptFiles(daemon).some((file) => file.endsWith(`/n${UID}-${name}.userns`)) };
      };
      const { reply, files } = await withAnswer('yes');
      t.equal(reply.error, undefined, 'who may is served');
      if (!registered) t.ok(files, 'and registered');
      for (const [answer, reply] of [
        ['no', DENIED],
        ['challenge', CHALLENGED],
        ['error org.freedesktop.PolicyKit1.Error.Failed something', DENIED],
        ['error org.freedesktop.PolicyKit1.Error.NotAuthorized something', DENIED],
        ['text', failed('EPROTO', 71)],
      ] as const) {
        const { reply: got, files } = await withAnswer(answer);
        t.strictSame(got, reply, answer);
        if (!registered) t.notOk(files, 'nothing is registered');
      }
    });
  }
  polkit.answer('yes');

  await t.test('is asked once all that a call says is right', async (t) => {
    polkit.answer('no');
    using mapped = ofUser('--map-root-user');
    t.strictSame(await allocateAsUser(daemon, mapped), invalid(USERNS));
    using namespace = ofUser('--net');
    using fd = namespace.open();
    t.strictSame(await call(daemon, 'AllocateUserRange', { name: 'a', size: 5 }, [fd.number]), invalid('size'));
    t.strictSame(await call(daemon, 'RegisterUserNamespace', { name: 'a' }, [fd.number]), invalid(USERNS));
    const parameters = { networkNamespaceFileDescriptor: 0, mode: 'veth' };
    t.strictSame(
      await call(daemon, 'AddNetworkToUserNamespace', parameters, [fd.number]),
      invalid('networkNamespaceFileDescriptor'),
    );
    t.strictSame(polkit.calls, []);
    using network = namespace.open('net');
    t.strictSame(
      await call(daemon, 'AddNetworkToUserNamespace', { ...parameters, networkNamespaceFileDescriptor: 1 }, [
        fd.number,
        network.number,
      ]),
      DENIED,
      'and before it is told what is registered',
    );
    await polkit.taken(1);
  });

  await t.test('is not asked about root, nor about who is whom', async (t) => {
    polkit.answer('no');
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.equal((await allocate(daemon, fd, 'root')).error, undefined);
    const record = { service: SERVICE, uid: 524_288 };
    t.match(await asUser(UID, () => varlinkCall(daemon.socketPath, 'io.systemd.UserDatabase.GetUserRecord', record)), {
      error: /NoRecordFound/,
    });
    t.strictSame(polkit.calls, []);
  });

  await t.test('can not be told to have a password entered', async (t) => {
    using namespace = ofUser();
    using fd = namespace.open();
    const parameters = { name: 'a', size: 1, allowInteractiveAuthentication: true };
    t.strictSame(
      await call(daemon, 'AllocateUserRange', parameters, [fd.number]),
      invalid('allowInteractiveAuthentication'),
    );
  });

  await t.test('that answers wrongly, or ends, costs that call an error', async (t) => {
    for (const [answer, reply] of [
      ['nothing', failed('EPROTO', 71)],
      ['error org.example.Error.Odd odd', failed('EIO', 5)],
      ['error org.freedesktop.DBus.Error.NoReply late', failed('ETIMEDOUT', 110)],
      ['exit', failed('ETIMEDOUT', 110)],
    ] as const) {
      polkit.answer(answer);
      using namespace = ofUser();
      t.strictSame(await allocateAsUser(daemon, namespace), reply, answer);
      t.equal(mapOf(namespace), '', 'it has no ids');
      if (answer === 'exit') await polkit.start();
      polkit.answer('yes');
      t.equal((await allocateAsUser(daemon, namespace)).error, undefined, 'the next one is right');
    }
    polkit.calls.length = 0;
  });

  await t.test('is heard among messages that anybody sends', async (t) => {
    polkit.answer('noise');
    using namespace = ofUser();
    t.equal((await allocateAsUser(daemon, namespace)).error, undefined);
    await polkit.taken(1);
  });

  await t.test('takes long: others are served meanwhile', async (t) => {
    polkit.answer('never');
    using namespace = ofUser();
    using fd = namespace.open();
    using client = asUser(UID, () => connected(daemon));
    ask(client, fd, 'waits');
    await polkit.taken(1);
    using other = new UserNamespace();
    using otherFd = other.open();
    for (let count = 0; count < 20; count++) {
      const record = { service: SERVICE, uid: 524_288 };
      const reply = await varlinkCall(daemon.socketPath, 'io.systemd.UserDatabase.GetUserRecord', record);
      t.match(reply, { error: /NoRecordFound/ });
    }
    t.equal((await allocate(daemon, otherFd, 'meanwhile')).error, undefined);
    t.equal(mapOf(namespace), '');
    client.close();
    await polkit.taken(1);
  });

  await t.test('is told when the client leaves', async (t) => {
    polkit.answer('never');
    using namespace = ofUser();
    using fd = namespace.open();
    using client = asUser(UID, () => connected(daemon));
    ask(client, fd, 'leaves');
    const [asked] = await polkit.taken(1);
    client.close();
    const cancellation = asked?.cancellation;
    t.match(cancellation, /./);
    t.strictSame(await polkit.taken(1), [{ member: 'CancelCheckAuthorization', cancellation, reply: false }]);
    polkit.answer('yes');
    t.equal((await allocateAsUser(daemon, namespace)).error, undefined, 'the namespace is as it was');
    await polkit.taken(1);
  });

  await t.test('says yes about a process that has ended meanwhile', async (t) => {
    polkit.answer('yes');
    using namespace = ofUser();
    using fd = namespace.open();
    // The connection stays with a child once its maker is gone.
    const { output, exit } = runProgram('/usr/bin/python3', ['-c', ORPHAN, daemon.socketPath, String(UID)], {
      fds: [null, null, 2, fd],
    });
    t.strictSame([exit.status, JSON.parse(output)], [0, DENIED]);
    t.equal(mapOf(namespace), '');
    polkit.calls.length = 0;
  });

  await t.test('does not know the actions: everybody may, and the log has why', async (t) => {
    const action = `${ACTION}.allocate-user-namespace`;
    polkit.answer(`error org.freedesktop.PolicyKit1.Error.Failed Action ${action} is not registered`);
    using namespace = ofUser();
    t.equal((await allocateAsUser(daemon, namespace)).error, undefined);
    t.match(await daemon.waitForLog(/polkit does not know .*/), [/allocate-user-namespace.*sdrx-nsresourced.policy/]);
    await polkit.taken(1);
    const other = `${ACTION}.delegate-cgroup`;
    polkit.answer(`error org.freedesktop.PolicyKit1.Error.Failed Action ${other} is not registered`);
    using next = ofUser();
    t.strictSame(await allocateAsUser(daemon, next), DENIED, 'that of another one says nothing');
    await polkit.taken(1);
  });

  await t.test('is not there: everybody may', async (t) => {
    for (const error of [
      'org.freedesktop.DBus.Error.ServiceUnknown',
      'org.freedesktop.DBus.Error.NameHasNoOwner',
      'org.freedesktop.systemd1.NoSuchUnit',
      'org.freedesktop.systemd1.UnitMasked',
    ]) {
      polkit.answer(`error ${error} none`);
      using namespace = ofUser();
      t.equal((await allocateAsUser(daemon, namespace)).error, undefined, error);
    }
    await polkit.taken(4);
    polkit.answer('exit');
    using last = ofUser();
    t.strictSame(await allocateAsUser(daemon, last), failed('ETIMEDOUT', 110));
    t.equal((await allocateAsUser(daemon, last)).error, undefined, 'a bus without it says so');
    await polkit.start();
  });

  await t.test('is asked over a bus that is started anew', async (t) => {
    await bus.stop();
    using namespace = ofUser();
    t.strictSame(await allocateAsUser(daemon, namespace), failed('ECONNREFUSED', 111), 'a dead one is not none');
    await bus.start();
    await polkit.start();
    polkit.answer('no');
    t.strictSame(await allocateAsUser(daemon, namespace), DENIED);
    await polkit.taken(1);
  });

  await t.test('leaves nothing: no namespace is registered once all are gone', async () => {
    const some = () => keptFiles(daemon).some((file) => /i\d+\.userns/.test(file));
    await untilOr(
      LIMIT,
      () => !some(),
      () => keptFiles(daemon).join('\n'),
    );
  });
});

t.test('a call waits for polkit no longer than it may take', needsRoot, async (t) => {
  const { daemon, polkit } = await startAsking(t, '--max-call-time=1s');
  polkit.answer('never');
  using namespace = ofUser();
  t.strictSame(await allocateAsUser(daemon, namespace), failed('ETIMEDOUT', 110));
  const [asked, cancelled] = await polkit.taken(2);
  t.match([asked, cancelled], [{ member: 'CheckAuthorization' }, { cancellation: asked?.cancellation }]);
});

t.test('where there is no bus everybody may', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using namespace = ofUser();
  t.equal((await allocateAsUser(daemon, namespace)).error, undefined);
});

t.test('an address of a bus that is none is refused at the start', async (t) => {
  const daemon = launchDaemon(t, { env: { DBUS_SYSTEM_BUS_ADDRESS: 'tcp:host=localhost' } });
  t.strictSame(await daemon.gone, { code: 2, signal: null });
  t.match(daemon.log(), /DBUS_SYSTEM_BUS_ADDRESS.*unix:path=.*tcp:host=localhost/);
});

/** A client that has connected, as who it is. */
function connected(daemon: Daemon): Fd {
  const socket = unixSocket();
  connect(socket.number, daemon.socketPath);
  return socket;
}

/** Asks for ids, and waits for nothing. */
function ask(client: Fd, namespace: Fd, name: string): void {
  const message = { method: `${SERVICE}.AllocateUserRange`, parameters: { name, size: 65_536, [USERNS]: 0 } };
  sendMessage(client.number, Buffer.from(`${JSON.stringify(message)}\0`), { fds: [namespace.number] });
}

/** Connects as another user and ends; its child, which has the connection, calls then and prints the answer. */
const ORPHAN = `
import json, os, socket, sys
reading, writing = os.pipe()
child = os.fork()
if child == 0:
    os.setresgid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
    os.setresuid(int(sys.argv[2]), int(sys.argv[2]), int(sys.argv[2]))
    client = socket.socket(socket.AF_UNIX)
    client.connect(sys.argv[1])
    if os.fork() != 0: os._exit(0)
    os.read(reading, 1)
    call = {'method': 'io.systemd.NamespaceResource.AllocateUserRange',
            'parameters': {'name': 'orphan', 'size': 65536, 'userNamespaceFileDescriptor': 0}}
    socket.send_fds(client, [json.dumps(call).encode() + b'\\0'], [3])
    text = b''
    while not text.endswith(b'\\0'): text += client.recv(4096)
    sys.stdout.write(text[:-1].decode())
    sys.stdout.flush()
    os._exit(0)
os.waitpid(child, 0)
os.write(writing, b'x')
`;
