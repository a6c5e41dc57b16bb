import {
  existsSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { mounts, type NamespaceEntry, Registry } from '@sdrx/daemon';
import { Fd, lockExclusive, namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { needsRoot } from '../support/privileges.js';
import { ServiceManager } from '../support/service-manager.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { faultsOf, filesOf } from './registry-check.js';

/** Inodes that no namespace of this kernel has: theirs begin at 0xf0000000. */
const DEAD = 4711;
const ALSO_DEAD = 4712;
/** One of which there is no id. */
const UNKNOWN = 4713;

const cgroup2 = mounts().find(({ type, root }) => type === 'cgroup2' && root === '/')?.path;
const needsCgroup2 = cgroup2 === undefined ? { skip: 'no cgroup v2 is mounted' } : {};

interface Planted extends Disposable {
  readonly runtimeDirectory: string;
  readonly directory: string;
  readonly registry: Registry;
}

/** A registry that a former daemon left behind. */
function plant(...entries: readonly NamespaceEntry[]): Planted {
  const folder = new Folder();
  const registry = Registry.open(folder.path);
  for (const entry of entries) registry.store(entry);
  const isDead = ({ userns }: NamespaceEntry) => [DEAD, ALSO_DEAD].includes(userns);
  noteDead(
    folder.path,
    entries.filter(isDead).map(({ userns }) => userns),
  );
  return {
    runtimeDirectory: folder.path,
    directory: folder.join('nsresource/registry'),
    registry,
    [Symbol.dispose]: () => {
      registry[Symbol.dispose]();
      folder[Symbol.dispose]();
    },
  };
}

/** Where there are ids, notes one that no namespace has had for long: a search of all of /proc takes its time on a busy machine. */
function noteDead(runtimeDirectory: string, inodes: readonly number[]): void {
  if ('skip' in numbersNamespaces) return;
  const ids = `${runtimeDirectory}/nsresource/namespace-ids`;
  mkdirSync(ids, { recursive: true });
  for (const inode of inodes) symlinkSync('1', `${ids}/i${inode}`);
}

function inodeOf(namespace: UserNamespace): number {
  using fd = namespace.open();
  return namespaceInode(fd.number);
}

const dead: NamespaceEntry = {
  owner: 1000,
  name: 'dead',
  userns: DEAD,
  range: { start: 0x90000, size: 65536, target: 0 },
  cgroups: [],
};

/** What it does within the first five seconds it does before it is ready, the rest afterwards. */
async function released({ directory }: Planted): Promise<void> {
  await until(() => String(readdirSync(directory)) === 'lock');
}

async function startOn(t: Test, { runtimeDirectory }: Planted, env: Readonly<Record<string, string>> = {}) {
  return await startDaemon(t, { runtimeDirectory, env });
}

t.test('an entry whose namespace is dead is released at the start, with all its files', needsRoot, async (t) => {
  using planted = plant(dead);
  const daemon = await startOn(t, planted);
  await released(planted);
  await daemon.stop();
});

t.test('and the fd store is told', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  using planted = plant(dead);
  const daemon = await startOn(t, planted, { NOTIFY_SOCKET: manager.notifySocket });
  await manager.waitFor(/READY=1/);
  t.equal(manager.notifications[0], `FDSTOREREMOVE=1\nFDNAME=userns-${DEAD}`);
  await daemon.stop();
});

t.test('and its cgroups are removed', { ...needsRoot, ...needsCgroup2 }, async (t) => {
  const path = `${cgroup2}/sdrx-test-${process.pid}`;
  mkdirSync(`${path}/below`, { recursive: true });
  t.teardown(() => {
    for (const left of [`${path}/below`, path]) if (existsSync(left)) rmdirSync(left);
  });
  const { ino } = statSync(path, { bigint: true });
  using planted = plant({ ...dead, cgroups: [ino] });
  const daemon = await startOn(t, planted);
  await until(() => !existsSync(path));
  await daemon.stop();
});

t.test('a cgroup that can not be removed is warned of, and the rest is done', needsRoot, async (t) => {
  using planted = plant({ ...dead, cgroups: [1n] });
  const daemon = await startOn(t, planted);
  t.match(daemon.log(), `releasing user namespace ${DEAD}: cgroup 1 not removed`);
  await released(planted);
  await daemon.stop();
});

t.test('an entry whose namespace lives stays as it is', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  const alive = { ...dead, name: 'alive', userns: inodeOf(namespace) };
  using planted = plant(alive, { ...dead, range: { start: 0xa0000, size: 65536, target: 0 } });
  const daemon = await startOn(t, planted);
  await until(() => String(planted.registry.inodes()) === String(alive.userns));
  t.strictSame(planted.registry.byInode(alive.userns), alive);
  t.strictSame(faultsOf(planted.registry, planted.directory), []);
  await daemon.stop();
});

t.test(
  'a daemon that waits for the lock in the midst of a release still ends when it is told to',
  { ...needsRoot, ...numbersNamespaces },
  async (t) => {
    using planted = plant();
    const { registry, runtimeDirectory } = planted;
    const daemon = await startOn(t, planted);
    using _lock = registry.lock();
    registry.store(dead);
    noteDead(runtimeDirectory, [DEAD]);
    await until(() => {
      using claim = registry.claim(DEAD);
      return claim === undefined;
    });
    t.strictSame(await daemon.stop(), { code: 0, signal: null });
    t.strictSame(registry.inodes(), [DEAD]);
  },
);

t.test('without the means to tell, all entries stay', needsRoot, async (t) => {
  using planted = plant({ ...dead, userns: UNKNOWN });
  const daemon = await startDaemon(t, { runtimeDirectory: planted.runtimeDirectory, restriction: 'require' });
  t.strictSame(planted.registry.inodes(), [UNKNOWN]);
  t.strictSame(faultsOf(planted.registry, planted.directory), []);
  await daemon.stop();
});

t.test('files that have no place in a registry are warned of, and stay', needsRoot, async (t) => {
  using planted = plant();
  const odd = ['README', 'i12', 'i0.userns', 'i4294967296.userns', 'ix.userns'];
  for (const file of odd) writeFileSync(`${planted.directory}/${file}`, '{}');
  const daemon = await startOn(t, planted);
  for (const file of odd) {
    t.match(daemon.log(), `odd file in the registry, ignored: '${file}'`);
    t.ok(existsSync(`${planted.directory}/${file}`));
  }
  await daemon.stop();
});

t.test('files that have their place are not warned of', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  using planted = plant({ ...dead, userns: inodeOf(namespace) });
  const daemon = await startOn(t, planted);
  t.notMatch(daemon.log(), 'odd file');
  await daemon.stop();
});

t.test('an entry that can not be read is released once its namespace is dead', needsRoot, async (t) => {
  using planted = plant();
  writeFileSync(`${planted.directory}/i${DEAD}.userns`, 'nonsense');
  const daemon = await startOn(t, planted);
  await released(planted);
  await daemon.stop();
});

t.test('what killed processes left half-written is cleaned up, and said', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  const alive = { ...dead, name: 'alive', userns: inodeOf(namespace) };
  using planted = plant(alive);
  const { directory, registry } = planted;
  const whole = [...filesOf(directory).keys()].sort();
  rmSync(`${directory}/u${0x90000}.userns`);
  writeFileSync(`${directory}/.#1-0-abc`, '{');
  const orphan = JSON.stringify({ owner: 1, name: 'orphan', userns: ALSO_DEAD });
  writeFileSync(`${directory}/norphan.userns`, orphan);
  mkdirSync(`${directory}/o1.owns`);
  linkSync(`${directory}/norphan.userns`, `${directory}/o1.owns/i${ALSO_DEAD}.userns`);
  const daemon = await startOn(t, planted);
  t.match(daemon.log(), /repaired the registry: removed 4 files, restored 1\n/);
  t.strictSame([...filesOf(directory).keys()].sort(), whole);
  t.strictSame(faultsOf(registry, directory), []);
  await daemon.stop();
});

t.test('a registry in order is not repaired', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  using planted = plant({ ...dead, userns: inodeOf(namespace) });
  const before = readFileSync(`${planted.directory}/ndead.userns`, 'utf8');
  const daemon = await startOn(t, planted);
  t.notMatch(daemon.log(), 'repaired');
  t.equal(readFileSync(`${planted.directory}/ndead.userns`, 'utf8'), before);
  await daemon.stop();
});

t.test('ids of namespaces that nobody has registered are forgotten', needsRoot, async (t) => {
  using planted = plant();
  const ids = `${planted.runtimeDirectory}/nsresource/namespace-ids`;
  mkdirSync(ids, { recursive: true });
  writeFileSync(`${ids}/i${DEAD}`, '');
  const daemon = await startOn(t, planted);
  t.strictSame(readdirSync(ids), []);
  await daemon.stop();
});

t.test('a killed daemon leaves a registry that the next one takes over', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  const alive = { ...dead, name: 'alive', userns: inodeOf(namespace) };
  using planted = plant(alive);
  const killed = await startOn(t, planted);
  killed.kill('SIGKILL');
  await killed.gone;
  const daemon = await startOn(t, planted);
  await until(() => String(planted.registry.inodes()) === String(alive.userns));
  await daemon.stop();
});

t.test('a lock of the registry that nobody gives back is an error, not a start without end', needsRoot, async (t) => {
  using folder = new Folder();
  mkdirSync(folder.join('nsresource/registry'), { recursive: true });
  using lock = new Fd(openSync(folder.join('nsresource/registry/lock'), 'a+', 0o600));
  lockExclusive(lock.number);
  const daemon = launchDaemon(t, { runtimeDirectory: folder.path });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), /EBUSY: .*, flock 'registry\/lock, which another process holds'/);
});
