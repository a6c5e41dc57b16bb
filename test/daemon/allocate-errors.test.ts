import { closeSync, openSync, writeFileSync } from 'node:fs';
import { O_NONBLOCK, O_PATH, setNonBlocking, socketPair } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, invalid, keptFiles, mapOf, refused, USERNS } from '../support/allocation.js';
import { UID } from '../support/call-as.js';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { pythonClient } from '../support/python-client.js';
import { leavingNoTrace } from '../support/traces.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';
import { Inhabitant } from './user-namespace.js';

const METHOD = 'io.systemd.NamespaceResource.AllocateUserRange';
const UNSAFE = failed('EREMOTEIO', 121);

/** What is wrong with a request for an otherwise fine namespace: its parameters, over those of a good one. */
const parameters: readonly (readonly [what: string, more: object, reply: RawReply])[] = [
  ['a name with a slash', { name: 'a/b' }, invalid('name')],
  ['a name that leaves the registry', { name: '../x' }, invalid('name')],
  ['a name with a dot', { name: 'a.b' }, invalid('name')],
  ['a name with a space', { name: 'a b' }, invalid('name')],
  ['a name beyond ASCII', { name: 'ä' }, invalid('name')],
  ['a name with a control character', { name: 'a\x01b' }, invalid('name')],
  ['a name of 23 characters, for which user names have no room', { name: 'a'.repeat(23) }, invalid('name')],
  ['a name that is a number', { name: 5 }, invalid('name')],
  ['no name', { name: undefined }, invalid('name')],
  ['size 0', { size: 0 }, invalid('size')],
  ['size 2', { size: 2 }, invalid('size')],
  ['size 65535', { size: 65_535 }, invalid('size')],
  ['size 65537', { size: 65_537 }, invalid('size')],
  ['a negative size', { size: -1 }, invalid('size')],
  ['a size beyond 32 bits', { size: 2 ** 32 + 1 }, invalid('size')],
  ['a size with a fraction', { size: 1.5 }, invalid('size')],
  ['a size that is a word', { size: 'all' }, invalid('size')],
  ['no size', { size: undefined }, invalid('size')],
  ['a target without room for 65536 ids', { target: 2 ** 32 - 65_536 }, invalid('target')],
  ['a target without room for one id', { size: 1, target: 2 ** 32 - 1 }, invalid('target')],
  ['a target beyond 32 bits', { target: 2 ** 32 }, invalid('target')],
  ['a negative target', { target: -1 }, invalid('target')],
  ['an unknown parameter', { owner: 0 }, invalid('owner')],
  ['no index of a descriptor', { [USERNS]: undefined }, invalid(USERNS)],
  ['an index that is null', { [USERNS]: null }, invalid(USERNS)],
  ['a negative index', { [USERNS]: -1 }, invalid(USERNS)],
  ['an index of a descriptor that was not passed', { [USERNS]: 1 }, failed('ENXIO', 6)],
];

t.test('AllocateUserRange refuses', needsRoot, async (t) => {
  const daemon = await startDaemon(t);

  /** A test of a request that is refused, after which all is as it was. */
  const refusing = (what: string, ask: (t: Test) => Promise<RawReply>, reply: RawReply) =>
    t.test(
      what,
      leavingNoTrace(daemon, async (t) => {
        const files = keptFiles(daemon);
        t.strictSame(await ask(t), reply);
        t.strictSame(keptFiles(daemon), files, 'nothing is stored');
      }),
    );

  /** The same, for a namespace that gets no ids. */
  const refusingNamespace = (
    what: string,
    ask: (namespace: UserNamespace, t: Test) => Promise<RawReply>,
    reply: RawReply,
    owner?: number,
  ) =>
    refusing(
      what,
      async (t) => {
        using namespace = new UserNamespace(owner);
        const answer = await ask(namespace, t);
        t.equal(mapOf(namespace), '', 'nothing is mapped');
        return answer;
      },
      reply,
    );

  for (const [what, more, reply] of parameters) {
    await refusingNamespace(
      what,
      async (namespace) => {
        using fd = namespace.open();
        return await allocate(daemon, fd, 'errors', more as Record<string, unknown>);
      },
      reply,
    );
  }

  await refusing('no parameters at all', () => varlinkCall(daemon.socketPath, METHOD, {}), invalid('name'));

  await refusing(
    'a call without a descriptor',
    () => varlinkCall(daemon.socketPath, METHOD, { name: 'errors', size: 1, [USERNS]: 0 }),
    failed('ENXIO', 6),
  );

  await refusing(
    'of another user than root a name that has no room beside the uid',
    async (t) => {
      const client = await pythonClient(t, daemon.socketPath, { name: 'a'.repeat(18), size: 1, [USERNS]: 0 }, UID);
      await client.end();
      return client.reply;
    },
    invalid('name'),
  );

  await refusing(
    'of another user than root a name with a slash',
    async (t) => {
      const client = await pythonClient(t, daemon.socketPath, { name: 'a/b', size: 1, [USERNS]: 0 }, UID);
      t.strictSame(client.uid_map, []);
      await client.end();
      return client.reply;
    },
    invalid('name'),
  );

  /** A test of a descriptor that is no good. */
  const refusingFd = (what: string, open: (t: Test) => number | Promise<number>, reply: RawReply = invalid(USERNS)) =>
    refusing(
      what,
      async (t) => {
        const fd = await open(t);
        try {
          return await allocate(daemon, fd, 'errors');
        } finally {
          closeSync(fd);
        }
      },
      reply,
    );

  await refusingFd('a network namespace', () => openSync('/proc/self/ns/net', 'r'));
  await refusingFd('a pid namespace', () => openSync('/proc/self/ns/pid', 'r'));
  await refusingFd('its own user namespace', () => openSync('/proc/self/ns/user', 'r'));
  await refusingFd('a regular file', () => openSync('/etc/passwd', 'r'));
  await refusingFd('a directory', () => openSync('/proc/self/ns', 0));
  await refusingFd('a device', () => openSync('/dev/null', 'r'));
  await refusingFd('a socket', () => {
    const [one, other] = socketPair();
    other.close();
    // Else it would be refused for its flags.
    setNonBlocking(one.number, false);
    return one.take();
  });
  for (const [flag, flags] of [
    ['O_PATH', O_PATH],
    ['O_NONBLOCK', O_NONBLOCK],
  ] as const) {
    await refusingFd(
      `a user namespace that was opened with ${flag}`,
      () => {
        using namespace = new UserNamespace();
        return openSync(`/proc/${namespace.child.pid}/ns/user`, flags);
      },
      UNSAFE,
    );
  }

  await refusing(
    'of another user than root a namespace of somebody else',
    async (t) => {
      using namespace = new UserNamespace(UID + 1);
      const client = await pythonClient(t, daemon.socketPath, { name: 'errors', size: 1, [USERNS]: 0 }, UID, namespace);
      t.equal(mapOf(namespace), '');
      await client.end();
      return client.reply;
    },
    invalid(USERNS),
  );

  for (const map of ['uid_map', 'gid_map'] as const) {
    await refusing(
      `a namespace with nothing but a ${map}`,
      async (t) => {
        const inhabitant = await Inhabitant.start(t, ['--user']);
        const fd = inhabitant.open();
        try {
          writeFileSync(`/proc/${inhabitant.pid}/${map}`, '0 1000000 1\n');
          return await allocate(daemon, fd, 'errors');
        } finally {
          closeSync(fd);
          await inhabitant.end();
        }
      },
      invalid(USERNS),
    );
  }

  for (const parameters of [[], 'text', 5]) {
    await t.test(
      `parameters that are no object by closing the connection: ${JSON.stringify(parameters)}`,
      leavingNoTrace(daemon, async (t) => {
        await t.rejects(varlinkCall(daemon.socketPath, METHOD, parameters), /closed without a reply/);
      }),
    );
  }
});

t.test('where the user namespace interfaces are off', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  const off = refused('UserNamespaceInterfaceNotSupported');

  await t.test('nothing is allocated', async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(daemon, fd, 'errors'), off);
    t.equal(mapOf(namespace), '');
    t.strictSame(keptFiles(daemon), ['registry', 'registry/lock']);
  });

  for (const method of [
    'AllocateUserRange',
    'RegisterUserNamespace',
    'AddMountToUserNamespace',
    'AddControlGroupToUserNamespace',
    'AddNetworkToUserNamespace',
  ]) {
    await t.test(`${method} says so before it looks at parameters`, async (t) => {
      const reply = await varlinkCall(daemon.socketPath, `io.systemd.NamespaceResource.${method}`, { nonsense: 1 });
      t.strictSame(reply, off);
    });
  }
});
