import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, ask, failed, given, keptFiles, mapOf } from '../support/allocation.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { Inhabitant } from './user-namespace.js';

/** How long a namespace's ids may stay taken after its death, in milliseconds. */
const RELEASE = 60_000;

const isRegistered = (daemon: Daemon, name: string) =>
  readdirSync(daemon.registryDirectory).includes(`n${name}.userns`);

/** Waits until a name is free; a test fails if that takes too long. */
function released(daemon: Daemon, name: string): Promise<void> {
  const complaint = () => `${name} is registered still:\n${keptFiles(daemon).join('\n')}`;
  return untilOr(RELEASE, () => !isRegistered(daemon, name), complaint);
}

/** Waits until the daemon has looked after its namespaces, as a dead one shows: whoever is registered then stays so. */
async function lookedAfter(daemon: Daemon): Promise<void> {
  using namespace = new UserNamespace();
  {
    using fd = namespace.open();
    await allocate(daemon, fd, 'dying');
  }
  await namespace.end();
  await released(daemon, 'dying');
}

t.test('the ids of a namespace', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const test = (name: string, body: (t: Test) => Promise<void>, options = {}) =>
    t.test(name, options, leavingNoTrace(daemon, body));

  await test('are free within 5 s after its death', async (t) => {
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      await allocate(daemon, fd, 'mortal');
    }
    t.equal((await ask(daemon, 'User', { userName: 'ns-mortal-0' })).error, undefined);
    namespace[Symbol.dispose]();
    await released(daemon, 'mortal');
    t.match((await ask(daemon, 'User', { userName: 'ns-mortal-0' })).error, /NoRecordFound$/);
  });

  await test('are free at once for who asks for the same name', async (t) => {
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      await allocate(daemon, fd, 'successor');
    }
    const map = mapOf(namespace);
    await namespace.end();
    using next = new UserNamespace();
    {
      using fd = next.open();
      t.strictSame(await allocate(daemon, fd, 'successor'), given('successor'));
    }
    t.equal(mapOf(next), map);
    next[Symbol.dispose]();
    await released(daemon, 'successor');
  });

  await test('are its own while a descriptor is all there is of it', async (t) => {
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      await allocate(daemon, fd, 'held');
      namespace[Symbol.dispose]();
      await lookedAfter(daemon);
      t.ok(isRegistered(daemon, 'held'));
    }
    await released(daemon, 'held');
  });

  await test('are its own while a mount is all there is of it', async (t) => {
    using folder = new Folder();
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      await allocate(daemon, fd, 'mounted');
    }
    // In a mount namespace of its own, so that a test that is killed leaves no mount.
    const inhabitant = await Inhabitant.start(t, ['--mount'], mountScript(folder, namespace));
    namespace[Symbol.dispose]();
    await lookedAfter(daemon);
    t.ok(isRegistered(daemon, 'mounted'));
    await inhabitant.end();
    await released(daemon, 'mounted');
  });

  await test('are its own while a namespace below it lives', async (t) => {
    using namespace = new UserNamespace();
    {
      using fd = namespace.open();
      await allocate(daemon, fd, 'parent');
    }
    using child = new UserNamespace(['nsenter', `--user=/proc/${namespace.child.pid}/ns/user`]);
    namespace[Symbol.dispose]();
    await lookedAfter(daemon);
    t.ok(isRegistered(daemon, 'parent'));
    child[Symbol.dispose]();
    await released(daemon, 'parent');
  });

  await test('are taken back when they can not be mapped', async (t) => {
    using namespace = new UserNamespace();
    {
      // Where the range is to be inside, something else is.
      using fd = namespace.open();
      const foreign = { target: 0x7ffe_0000, mapForeign: true };
      t.strictSame(await allocate(daemon, fd, 'inner', foreign), failed('EINVAL', 22));
      t.equal(mapOf(namespace), '');
      t.strictSame(
        keptFiles(daemon).filter((file) => file.includes('inner')),
        [],
      );
      t.notOk(keptFiles(daemon).some((file) => file.includes(String(namespaceInode(fd.number)))));
    }
  });

  await test('are no obstacle to another namespace that has its inode by now, and no maps', async () => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    using registry = Registry.open(daemon.runtimeDirectory);
    // There is no telling by an id, as before Linux 6.18: but who had these ids had maps.
    const range = { start: 0x4000_0000, size: 65_536, target: 0 };
    registry.store({ owner: 0, name: 'former', userns: namespaceInode(fd.number), range, cgroups: [] });
    t.strictSame(await allocate(daemon, fd, 'latter'), given('latter'));
    t.strictSame([isRegistered(daemon, 'former'), isRegistered(daemon, 'latter')], [false, true]);
    fd.close();
    namespace[Symbol.dispose]();
    await released(daemon, 'latter');
  });

  await test(
    'are free although another namespace has its inode by now',
    async () => {
      using namespace = new UserNamespace();
      using fd = namespace.open();
      const inode = namespaceInode(fd.number);
      const ids = `${daemon.runtimeDirectory}/nsresource/namespace-ids`;
      using registry = Registry.open(daemon.runtimeDirectory);
      mkdirSync(ids, { recursive: true });
      // An id that no namespace has had for long.
      symlinkSync('1', `${ids}/i${inode}`);
      registry.store({ owner: 0, name: 'reused', userns: inode, cgroups: [] });
      await released(daemon, 'reused');
    },
    numbersNamespaces,
  );
});

function mountScript(folder: Folder, { child }: UserNamespace): string {
  writeFileSync(folder.join('namespace'), '');
  return `mount --bind /proc/${child.pid}/ns/user ${folder.join('namespace')}`;
}

t.test('a namespace that dies while no daemon runs is released by the next one', needsRoot, async (t) => {
  using folder = new Folder();
  const first = await startDaemon(t, { runtimeDirectory: folder.path });
  using dying = new UserNamespace();
  using living = new UserNamespace();
  {
    using dyingFd = dying.open();
    using livingFd = living.open();
    await allocate(first, dyingFd, 'dying');
    await allocate(first, livingFd, 'living');
  }
  const map = mapOf(living);
  await first.stop('SIGKILL');
  await dying.end();

  const next = await startDaemon(t, { runtimeDirectory: folder.path });
  t.notOk(isRegistered(next, 'dying'), 'it is gone when the daemon is ready');
  t.ok(isRegistered(next, 'living'));
  const [, start] = map.split(' ');
  t.match(await ask(next, 'User', { userName: 'ns-living-0' }), { parameters: { record: { uid: Number(start) } } });
  living[Symbol.dispose]();
  await released(next, 'living');
  await next.stop();
});
