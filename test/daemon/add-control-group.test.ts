import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmdirSync,
  statSync,
} from 'node:fs';
import { namespaceInode, O_DIRECTORY, O_NONBLOCK, O_PATH } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, invalid, mapOf, refused, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { cgroupId, makeCgroup, needsCgroups } from '../support/cgroup.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { forget, plant } from '../support/plant.js';
import { leavingNoTrace } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import type { RawReply } from '../support/varlink-call.js';
import { Inhabitant } from './user-namespace.js';

const METHOD = 'io.systemd.NamespaceResource.AddControlGroupToUserNamespace';
const CGROUP = 'controlGroupFileDescriptor';
const FILES = ['cgroup.procs', 'cgroup.subtree_control', 'cgroup.threads'];
const DENIED: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };

/** Gives a cgroup, by its path or a descriptor of it, to a namespace. */
function add(
  daemon: Daemon,
  namespace: UserNamespace,
  cgroup: string | number,
  { uid = 0, more = {} }: { readonly uid?: number; readonly more?: object } = {},
): RawReply {
  using fd = namespace.open();
  const opened = typeof cgroup === 'string' ? openSync(cgroup, O_DIRECTORY) : cgroup;
  try {
    return callAs(uid, daemon.socketPath, METHOD, { [USERNS]: 0, [CGROUP]: 1, ...more }, [fd.number, opened]);
  } finally {
    closeSync(opened);
  }
}

/** Who owns a cgroup's directory and files, and their modes, as `uid:gid mode`. */
function ownership(path: string): Record<string, string> {
  return Object.fromEntries(
    ['.', ...FILES].map((file) => {
      const { uid, gid, mode } = statSync(`${path}/${file}`);
      return [file, `${uid}:${gid} ${(mode & 0o7777).toString(8)}`];
    }),
  );
}

function cgroupsOf({ registryDirectory }: Daemon, name: string): string {
  return /"cgroups":(\[.*?\])/.exec(readFileSync(`${registryDirectory}/n${name}.userns`, 'utf8'))?.[1] ?? '';
}

t.test('AddControlGroupToUserNamespace', needsCgroups, async (t) => {
  const daemon = await startDaemon(t);
  await t.test(
    'leaves nothing behind',
    leavingNoTrace(daemon, (t) => allTests(t, daemon)),
  );
});

async function allTests(t: Test, daemon: Daemon): Promise<void> {
  /** A test with a namespace that has a range, and whose name the next one may have. */
  const test = (name: string, body: (t: Test, namespace: UserNamespace, start: number) => unknown) =>
    t.test(name, async (t) => {
      using namespace = new UserNamespace();
      {
        using fd = namespace.open();
        await allocate(daemon, fd, 'web');
      }
      const [, start] = mapOf(namespace).split(' ');
      await body(t, namespace, Number(start));
      await namespace.end();
    });

  await test('hands the cgroup and its files to the first id, and nothing else', (t, namespace, start) => {
    const path = makeCgroup(t, 'child');
    const others = statSync(`${path}/cgroup.events`);
    chmodSync(`${path}/cgroup.procs`, 0o600);
    t.strictSame(add(daemon, namespace, path), { parameters: {} });
    const file = `${start}:${start} 644`;
    t.strictSame(ownership(path), {
      '.': `${start}:${start} 755`,
      'cgroup.procs': file,
      'cgroup.subtree_control': file,
      'cgroup.threads': file,
    });
    t.equal(statSync(`${path}/cgroup.events`).uid, others.uid);
    t.equal(statSync(`${path}/child`).uid, 0);
    t.equal(cgroupsOf(daemon, 'web'), `[${cgroupId(path)}]`);
  });

  await test('is undone by the death of the namespace, with all cgroups below', async (t, namespace) => {
    const [first, second] = [makeCgroup(t, 'a/b', 'c'), makeCgroup(t)];
    add(daemon, namespace, first);
    add(daemon, namespace, second);
    t.equal(cgroupsOf(daemon, 'web'), `[${cgroupId(first)},${cgroupId(second)}]`);
    await namespace.end();
    await untilOr(
      5000,
      () => !existsSync(first) && !existsSync(second),
      () => 'a cgroup is still there',
    );
    t.notMatch(daemon.log(), 'not removed');
  });

  await t.test('serves a user who owns namespace and cgroup', async (t) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    const parameters = { name: 'web', size: 65_536, [USERNS]: 0 };
    const method = 'io.systemd.NamespaceResource.AllocateUserRange';
    callAs(UID, daemon.socketPath, method, parameters, [fd.number]);
    const [, start] = mapOf(namespace).split(' ');

    const foreign = makeCgroup(t);
    const before = ownership(foreign);
    t.strictSame(add(daemon, namespace, foreign, { uid: UID }), DENIED, 'a cgroup of root is not his to give');
    t.strictSame(ownership(foreign), before);
    t.equal(cgroupsOf(daemon, '1000-web'), '');

    const path = makeCgroup(t);
    chownSync(path, UID, UID);
    t.strictSame(add(daemon, namespace, path, { uid: UID }), { parameters: {} });
    t.match(ownership(path), { '.': `${start}:${start} 755` });
    t.strictSame(add(daemon, namespace, foreign), { parameters: {} }, 'root may give whichever');
  });

  await t.test('refuses a user whose namespace root registered', async (t) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    await allocate(daemon, fd, 'of-root');
    const path = makeCgroup(t);
    chownSync(path, UID, UID);
    t.strictSame(add(daemon, namespace, path, { uid: UID }), DENIED);
    t.equal(statSync(path).uid, UID);
  });

  await test('refuses a cgroup that the namespace has', (t, namespace) => {
    const path = makeCgroup(t);
    add(daemon, namespace, path);
    const registered = cgroupsOf(daemon, 'web');
    t.strictSame(add(daemon, namespace, path), refused('ControlGroupAlreadyAdded'));
    t.equal(cgroupsOf(daemon, 'web'), registered);
  });

  await test('refuses more than 16 beside a first one, as systemd does', (t, namespace) => {
    const paths = Array.from({ length: 17 }, () => makeCgroup(t));
    for (const path of paths) t.strictSame(add(daemon, namespace, path), { parameters: {} });
    const path = makeCgroup(t);
    t.strictSame(add(daemon, namespace, path), refused('TooManyControlGroups'));
    t.equal(statSync(path).uid, 0);
    t.strictSame(add(daemon, namespace, paths[0] ?? ''), refused('ControlGroupAlreadyAdded'), 'which is found first');
  });

  await t.test('refuses a namespace that is not registered, and one without a range', async (t) => {
    using namespace = new UserNamespace();
    const path = makeCgroup(t);
    const before = ownership(path);
    t.strictSame(add(daemon, namespace, path), refused('UserNamespaceNotRegistered'));
    using fd = namespace.open();
    // A dead one may have had its inode, and not be released yet.
    forget(daemon, namespaceInode(fd.number));
    using _planted = plant(daemon, { userns: namespaceInode(fd.number) });
    t.strictSame(add(daemon, namespace, path), refused('UserNamespaceWithoutUserRange'));
    t.strictSame(ownership(path), before);
  });

  await t.test('hands it to the group that the groups begin at, where that is another number', async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const userns = namespaceInode(fd.number);
    forget(daemon, userns);
    using _planted = plant(daemon, { userns, range: { start: 0x9_0000, size: 1, target: 0, startGid: 0xa_0000 } });
    const path = makeCgroup(t);
    t.strictSame(add(daemon, namespace, path), { parameters: {} });
    t.match(ownership(path), { '.': `${0x9_0000}:${0xa_0000} 755`, 'cgroup.procs': `${0x9_0000}:${0xa_0000} 644` });
  });

  await t.test('looks at the list before it looks who asks', async (t) => {
    using namespace = new UserNamespace(UID);
    using fd = namespace.open();
    const userns = namespaceInode(fd.number);
    forget(daemon, userns);
    const [path, others] = [makeCgroup(t), Array.from({ length: 17 }, (_, index) => BigInt(index + 1))];
    for (const [cgroups, reply] of [
      [others, refused('TooManyControlGroups')],
      [[cgroupId(path), ...others], refused('ControlGroupAlreadyAdded')],
      [[], DENIED],
    ] as const) {
      using _planted = plant(daemon, { userns, range: { start: 0x9_0000, size: 1, target: 0 }, cgroups });
      t.strictSame(add(daemon, namespace, path, { uid: UID }), reply);
    }
    t.equal(statSync(path).uid, 0);
  });

  await test('refuses a namespace of somebody else', (t, namespace) => {
    t.strictSame(add(daemon, namespace, makeCgroup(t), { uid: UID }), invalid(USERNS));
  });

  for (const [what, open, reply] of [
    ['a directory that is no cgroup', () => openSync('/', O_DIRECTORY), invalid(CGROUP)],
    ['a cgroup of version 1 or another file system', () => openSync('/proc', O_DIRECTORY), invalid(CGROUP)],
    ['a file', () => openSync('/etc/passwd', 'r'), failed('ENOTDIR', 20)],
    ["a cgroup's file", (t: Test) => openSync(`${makeCgroup(t)}/cgroup.procs`, 'r'), failed('ENOTDIR', 20)],
    ['an O_PATH descriptor', (t: Test) => openSync(makeCgroup(t), O_PATH), failed('EREMOTEIO', 121)],
    ['a descriptor with O_NONBLOCK', (t: Test) => openSync(makeCgroup(t), O_NONBLOCK), failed('EREMOTEIO', 121)],
  ] as const) {
    await test(`refuses ${what}`, (t, namespace) => {
      t.strictSame(add(daemon, namespace, open(t)), reply);
      t.equal(cgroupsOf(daemon, 'web'), '');
    });
  }

  for (const [what, more, reply] of [
    ['a cgroup that was not passed', { [CGROUP]: 2 }, failed('ENXIO', 6)],
    ['a namespace that was not passed', { [USERNS]: 2 }, failed('ENXIO', 6)],
    ['no cgroup', { [CGROUP]: undefined }, invalid(CGROUP)],
    ['no namespace', { [USERNS]: undefined }, invalid(USERNS)],
    ['an unknown parameter', { path: '/' }, invalid('path')],
  ] as const) {
    await test(`refuses ${what}`, (t, namespace) => {
      t.strictSame(add(daemon, namespace, makeCgroup(t), { more }), reply);
    });
  }

  await test('takes everything back when it can not be handed over', async (t, namespace) => {
    const path = makeCgroup(t);
    // Half of it can be: this file is on a mount of its own, and that is read-only.
    const script = `mount --bind ${path}/cgroup.threads ${path}/cgroup.threads && mount -o remount,bind,ro ${path}/cgroup.threads`;
    const inhabitant = await Inhabitant.start(t, ['--mount'], script);
    const before = ownership(path);
    const seen = openSync(`/proc/${inhabitant.pid}/root${path}`, O_DIRECTORY);
    t.strictSame(add(daemon, namespace, seen), failed('EROFS', 30));
    t.strictSame(ownership(path), before);
    t.equal(cgroupsOf(daemon, 'web'), '');
    await inhabitant.end();
    t.strictSame(add(daemon, namespace, path), { parameters: {} }, 'and another time it works');
  });

  await test('of a cgroup that is gone meanwhile leaves nothing in the way', async (t, namespace) => {
    const path = `${makeCgroup(t)}/gone`;
    mkdirSync(path);
    add(daemon, namespace, path);
    rmdirSync(path);
    await namespace.end();
    t.notMatch(daemon.log(), 'not removed');
  });
}
