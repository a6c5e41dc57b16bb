import { closeSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { isSystemError, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK, O_PATH } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, given, invalid, keptFiles, refused, USERNS } from '../support/allocation.js';
import { callAs, UID } from '../support/call-as.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { detachedMount } from '../support/mount.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { runProgram } from '../support/run-program.js';
import { ServiceManager } from '../support/service-manager.js';
import { leavingNoTrace, settled } from '../support/traces.js';
import { until, untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { type RawReply, varlinkCall } from '../support/varlink-call.js';

const METHOD = 'io.systemd.NamespaceResource.AddMountToUserNamespace';
const REGISTER = 'io.systemd.NamespaceResource.RegisterUserNamespace';
const MOUNT = 'mountFileDescriptor';

/** How long what is kept of a dead namespace may stay, in milliseconds. */
const RELEASE = 60_000;

async function add(daemon: Daemon, namespace: UserNamespace, mount: number, more: object = {}): Promise<RawReply> {
  using fd = namespace.open();
  return await varlinkCall(
    daemon.socketPath,
    METHOD,
    { [USERNS]: 0, [MOUNT]: 1, ...more },
    { fds: [fd.number, mount] },
  );
}

/** The ids of the mounts that the daemon itself has descriptors of. */
function keptMounts({ pid }: Daemon): bigint[] {
  return [...processFds(pid).keys()].flatMap((fd) => {
    const [, id = ''] = /^mnt_id:\s*(\d+)$/m.exec(fdInfo(pid, fd)) ?? [];
    return id === '' ? [] : [BigInt(id)];
  });
}

/** What proc(5) tells of a descriptor; empty for one that is closed meanwhile. */
function fdInfo(pid: number, fd: number): string {
  try {
    return readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'ascii');
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error;
    return '';
  }
}

/** The same, once the daemon has no more of them than before: while it looks for the dead, it has files open. */
async function finallyKept(daemon: Daemon, before: readonly bigint[]): Promise<bigint[]> {
  const end = performance.now() + RELEASE;
  await until(() => keptMounts(daemon).length === before.length || performance.now() > end, 20);
  return keptMounts(daemon);
}

/** Gives a namespace a range. */
async function allocateFor(daemon: Daemon, namespace: UserNamespace): Promise<void> {
  using fd = namespace.open();
  await allocate(daemon, fd, 'mounts');
}

/** Waits until nothing is registered. */
function released(daemon: Daemon): Promise<void> {
  const complaint = () => `not released:\n${keptFiles(daemon).join('\n')}`;
  return untilOr(RELEASE, () => !keptFiles(daemon).some((file) => /\d/.test(file)), complaint);
}

t.test('AddMountToUserNamespace takes a mount, and keeps nothing of it', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  for (const [store, env] of [
    ['a service manager', { NOTIFY_SOCKET: manager.notifySocket }],
    ['none', {}],
  ] as const) {
    const daemon = await startDaemon(t, { env });
    await settled(daemon, () => true);
    const before = keptMounts(daemon);
    const test = (name: string, body: (t: Test, namespace: UserNamespace) => Promise<unknown>) =>
      t.test(
        `${name}, with ${store}`,
        leavingNoTrace(daemon, async (t) => {
          using namespace = new UserNamespace();
          await allocateFor(daemon, namespace);
          await body(t, namespace);
          t.strictSame(await finallyKept(daemon, before), before);
          namespace[Symbol.dispose]();
          await released(daemon);
        }),
      );

    await test('one that is attached nowhere', async (t, namespace) => {
      using folder = new Folder();
      using mount = detachedMount(folder.path);
      t.strictSame(await add(daemon, namespace, mount.number), { parameters: {} });
    });

    await test('several', async (t, namespace) => {
      using folder = new Folder();
      for (let count = 0; count < 3; count++) {
        using mount = detachedMount(folder.path);
        t.strictSame(await add(daemon, namespace, mount.number), { parameters: {} });
      }
    });

    await test('any folder opened in a plain way, or with O_PATH', async (t, namespace) => {
      using folder = new Folder();
      for (const flags of [0, O_DIRECTORY, O_PATH, O_PATH | O_DIRECTORY, O_NOFOLLOW]) {
        const fd = openSync(folder.path, flags);
        t.strictSame(await add(daemon, namespace, fd), { parameters: {} });
        closeSync(fd);
      }
    });

    await t.test(
      `one that was made in the namespace, with ${store}`,
      leavingNoTrace(daemon, async (t) => {
        // The file system is of the namespace, which it would hold alive, and so is the mount namespace.
        using namespace = new UserNamespace(0, '--map-root-user', '--mount');
        {
          using own = namespace.open();
          const parameters = { name: 'own', [USERNS]: 0 };
          const registered = await varlinkCall(daemon.socketPath, REGISTER, parameters, { fds: [own.number] });
          t.strictSame(registered, given('own'));
        }
        const { pid } = namespace.child;
        const inside = [`--user=/proc/${pid}/ns/user`, `--mount=/proc/${pid}/ns/mnt`];
        const { exit } = runProgram('nsenter', [...inside, 'mount', '-t', 'tmpfs', 'tmpfs', '/mnt']);
        t.equal(exit.status, 0);
        const fd = openSync(`/proc/${pid}/root/mnt`, O_DIRECTORY);
        t.strictSame(await add(daemon, namespace, fd), { parameters: {} });
        closeSync(fd);
        t.strictSame(await finallyKept(daemon, before), before);
        namespace[Symbol.dispose]();
        await released(daemon);
      }),
    );
  }
  t.strictSame([...manager.stored.keys()], []);
  t.notOk(manager.notifications.some((text) => text.includes('FDSTORE=1')));
});

t.test('AddMountToUserNamespace refuses', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  using folder = new Folder();
  writeFileSync(folder.join('file'), '');
  symlinkSync('.', folder.join('link'));
  await settled(daemon, () => true);
  const before = keptMounts(daemon);

  const test = (name: string, body: (t: Test, namespace: UserNamespace) => unknown) =>
    t.test(name, async (t) => {
      using namespace = new UserNamespace();
      await allocateFor(daemon, namespace);
      await body(t, namespace);
      t.strictSame(await finallyKept(daemon, before), before, 'nothing is kept');
      t.notOk(
        keptFiles(daemon).some((file) => file.includes('/d')),
        'nothing is doubted',
      );
      await namespace.end();
    });

  await test('every user but root, whose parameters are right', async (t, namespace) => {
    const denied: RawReply = { error: 'org.varlink.service.PermissionDenied', parameters: {} };
    using fd = namespace.open();
    const ask = (parameters: object) => callAs(UID, daemon.socketPath, METHOD, parameters, [fd.number]);
    t.strictSame(ask({ [USERNS]: 0, [MOUNT]: 1 }), denied);
    t.strictSame(ask({ [USERNS]: 0 }), invalid(MOUNT), 'others are told what is wrong with them, as by systemd');
    t.strictSame(ask({ [USERNS]: 0, [MOUNT]: 1, nonsense: 1 }), invalid('nonsense'));
  });

  for (const [what, path, flags, reply] of [
    ['a file', 'file', 0, failed('ENOTDIR', 20)],
    ['a symbolic link', 'link', O_PATH | O_NOFOLLOW, failed('ELOOP', 40)],
    ['a descriptor with O_NONBLOCK', '.', O_NONBLOCK, failed('EREMOTEIO', 121)],
  ] as const) {
    await test(what, async (t, namespace) => {
      const fd = openSync(folder.join(path), flags);
      t.strictSame(await add(daemon, namespace, fd), reply);
      closeSync(fd);
    });
  }

  for (const [what, more, reply] of [
    ['a mount that was not passed', { [MOUNT]: 2 }, failed('ENXIO', 6)],
    ['a namespace that was not passed', { [USERNS]: 2 }, failed('ENXIO', 6)],
    ['no mount', { [MOUNT]: undefined }, invalid(MOUNT)],
    ['no namespace', { [USERNS]: undefined }, invalid(USERNS)],
    ['a folder as the namespace', { [USERNS]: 1 }, failed('EREMOTEIO', 121)],
    ['an unknown parameter', { path: '/' }, invalid('path')],
  ] as const) {
    await test(what, async (t, namespace) => {
      const fd = openSync(folder.path, O_DIRECTORY);
      t.strictSame(await add(daemon, namespace, fd, more), reply);
      closeSync(fd);
    });
  }

  await t.test('a namespace that is not registered', async (t) => {
    using namespace = new UserNamespace();
    const fd = openSync(folder.path, O_DIRECTORY);
    t.strictSame(await add(daemon, namespace, fd), refused('UserNamespaceNotRegistered'));
    closeSync(fd);
    t.strictSame(await finallyKept(daemon, before), before);
  });
  rmSync(folder.join('file'));
});
