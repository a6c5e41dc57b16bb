import { closeSync, mkdirSync, openSync, readFileSync, rmdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { namespaceId, namespaceInode, O_PATH } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, failed, given, invalid, keptFiles, refused, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { plant } from '../support/plant.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const METHOD = 'io.systemd.NamespaceResource.RegisterUserNamespace';

/** Gives a namespace its maps. */
function writeMaps({ child }: UserNamespace, uids: string, gids = uids): void {
  writeFileSync(`/proc/${child.pid}/uid_map`, uids);
  writeFileSync(`/proc/${child.pid}/gid_map`, gids);
}

/** What the daemon keeps under the namespace's inode. */
function filesOf(daemon: Daemon, namespace: UserNamespace): string[] {
  using fd = namespace.open();
  const inode = String(namespaceInode(fd.number));
  return keptFiles(daemon).filter((file) => file.includes(inode));
}

/** The same without what is there of a dead namespace that had the inode. */
function newFiles(daemon: Daemon, namespace: UserNamespace, before: readonly string[]): string[] {
  return filesOf(daemon, namespace).filter((file) => !before.includes(file));
}

t.test('RegisterUserNamespace', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await t.test(
    'leaves nothing behind',
    leavingNoTrace(daemon, (t) => allTests(t, daemon)),
  );
});

async function allTests(t: Test, daemon: Daemon): Promise<void> {
  let count = 0;
  /** Registers a namespace, as its user; by default under a name that no other has, dead or alive. */
  const register = (uid: number, namespace: UserNamespace, name = `n${count++}`, more: object = {}): RawReply => {
    using fd = namespace.open();
    return callAs(uid, daemon.socketPath, METHOD, { name, [USERNS]: 0, ...more }, [fd.number]);
  };
  const test = (name: string, body: (t: Test) => void | Promise<void>) =>
    t.test(name, async (t) => {
      await body(t);
    });

  await test('registers a namespace of one id, without a range', async (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    t.strictSame(register(UID, namespace, 'mine'), given('1000-mine'));
    using fd = namespace.open();
    const userns = namespaceInode(fd.number);
    t.strictSame(JSON.parse(readFileSync(`${daemon.registryDirectory}/n1000-mine.userns`, 'utf8')), {
      owner: UID,
      name: '1000-mine',
      userns,
    });
    const files = [`i${userns}.userns`, `o1000.owns/i${userns}.userns`].map((file) => `registry/${file}`);
    t.strictSame(filesOf(daemon, namespace), [
      ...(namespaceId(fd.number) ? [`namespace-ids/i${userns}`] : []),
      ...files,
    ]);
    t.match(await ask(daemon, 'User', { userName: 'ns-1000-mine-0' }), { error: /NoRecordFound$/ });
  });

  await test('takes several ids if root is the first of them inside', (t) => {
    using namespace = new UserNamespace(UID);
    writeMaps(namespace, `0 ${UID} 1\n1 100000 10\n`);
    t.match(register(UID, namespace), given('1000-n'));
  });

  await test('takes one id whatever it is inside', (t) => {
    using namespace = new UserNamespace(UID);
    writeMaps(namespace, `777 ${UID} 1\n`);
    t.match(register(UID, namespace), given('1000-n'));
  });

  await test('sees that maps of different lines are the same', (t) => {
    using namespace = new UserNamespace(UID);
    writeMaps(namespace, `0 ${UID} 1\n1 1001 1\n`, `0 ${UID} 2\n`);
    t.match(register(UID, namespace), given('1000-n'));
  });

  await test('registers a namespace of root under the very name', (t) => {
    using namespace = new UserNamespace(0, '--map-root-user');
    t.strictSame(register(0, namespace, 'of-root'), given('of-root'));
    t.ok(keptFiles(daemon).includes('registry/nof-root.userns'));
  });

  for (const [what, uids, gids] of [
    ['without maps', '', ''],
    ['without a gid_map', `0 ${UID} 1`, ''],
    ['without a uid_map', '', `0 ${UID} 1`],
    ['whose first user outside is another', '0 1001 1', '0 1001 1'],
    ['whose lowest user outside is another', `0 ${UID} 1\n1 500 1`, `0 ${UID} 1\n1 500 1`],
    ['whose groups outside are others', `0 ${UID} 1`, '0 1001 1'],
    ['whose groups inside are others', `0 ${UID} 1`, `1 ${UID} 1`],
    ['with more groups than users', `0 ${UID} 1`, `0 ${UID} 2`],
    ['of several ids without root', `1 ${UID} 2`, `1 ${UID} 2`],
  ] as const) {
    await test(`refuses a namespace ${what}`, (t) => {
      using namespace = new UserNamespace(UID);
      if (uids !== '') writeFileSync(`/proc/${namespace.child.pid}/uid_map`, uids);
      if (gids !== '') writeFileSync(`/proc/${namespace.child.pid}/gid_map`, gids);
      const before = filesOf(daemon, namespace);
      t.strictSame(register(UID, namespace), invalid(USERNS));
      t.strictSame(newFiles(daemon, namespace, before), []);
    });
  }

  await test('refuses one whose range it allocated itself, as that is of no user', async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    await allocate(daemon, fd, 'allocated');
    t.strictSame(register(0, namespace), invalid(USERNS));
  });

  await test('refuses a namespace of somebody else', (t) => {
    using namespace = new UserNamespace(UID + 1, '--map-root-user');
    t.strictSame(register(UID, namespace), invalid(USERNS));
  });

  await test('refuses root the namespace of another user, whose ids it has not', (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    t.strictSame(register(0, namespace), invalid(USERNS));
  });

  for (const name of ['a/b', '', 'ä', 'a'.repeat(18), 5]) {
    await test(`refuses the name ${name} before it looks at the namespace`, (t) => {
      using namespace = new UserNamespace(UID + 1);
      // Beside the uid, an empty name is a fine one.
      const expected = name === '' ? invalid(USERNS) : invalid('name');
      t.strictSame(register(UID, namespace, name as string), expected);
    });
  }

  for (const [what, more, reply] of [
    ['a descriptor that was not passed', { [USERNS]: 1 }, failed('ENXIO', 6)],
    ['no index', { [USERNS]: undefined }, invalid(USERNS)],
    ['an unknown parameter', { size: 1 }, invalid('size')],
  ] as const) {
    await test(`refuses ${what}`, (t) => {
      using namespace = new UserNamespace(UID, '--map-root-user');
      t.strictSame(register(UID, namespace, 'mine', more), reply);
    });
  }

  for (const [what, open, reply] of [
    ['a network namespace', () => openSync('/proc/self/ns/net', 'r'), invalid(USERNS)],
    ['its own namespace', () => openSync('/proc/self/ns/user', 'r'), invalid(USERNS)],
    ['a file', () => openSync('/etc/passwd', 'r'), invalid(USERNS)],
    ['an O_PATH descriptor', () => openSync('/proc/self/ns/user', O_PATH), failed('EREMOTEIO', 121)],
  ] as const) {
    await test(`refuses ${what}`, async (t) => {
      const fd = open();
      const reply_ = await varlinkCall(daemon.socketPath, METHOD, { name: 'mine', [USERNS]: 0 }, { fds: [fd] });
      closeSync(fd);
      t.strictSame(reply_, reply);
    });
  }

  await test('refuses what is registered already, first by namespace and then by name', (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    using other = new UserNamespace(UID, '--map-root-user');
    t.strictSame(register(UID, namespace, 'twice'), given('1000-twice'));
    t.strictSame(register(UID, namespace, 'twice'), refused('UserNamespaceExists'));
    t.strictSame(register(UID, namespace, 'else'), refused('UserNamespaceExists'));
    const before = filesOf(daemon, other);
    t.strictSame(register(UID, other, 'twice'), refused('NameExists'));
    t.strictSame(newFiles(daemon, other, before), []);
  });

  await test('takes a name for taken by whatever stands in its place, and leaves nothing', (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    // Where a link to its entry should be.
    const obstacle = `${daemon.registryDirectory}/n1000-stuck.userns`;
    mkdirSync(obstacle);
    const before = filesOf(daemon, namespace);
    t.strictSame(register(UID, namespace, 'stuck'), refused('NameExists'));
    t.strictSame(newFiles(daemon, namespace, before), []);
    rmdirSync(obstacle);
    t.strictSame(register(UID, namespace, 'stuck'), given('1000-stuck'));
  });

  await test('makes room for a name of one that is known to be dead', (t) => {
    using namespace = new UserNamespace(UID, '--map-root-user');
    using _planted = plant(daemon, { owner: UID, name: '1000-dead', userns: 4711 });
    const ids = `${daemon.runtimeDirectory}/nsresource/namespace-ids`;
    mkdirSync(ids, { recursive: true });
    // An id that no namespace has had for long; where there are none, the manager searches, and that takes its time.
    symlinkSync('1', `${ids}/i4711`);
    const reply = 'skip' in numbersNamespaces ? refused('NameExists') : given('1000-dead');
    t.strictSame(register(UID, namespace, 'dead'), reply);
  });
}
