import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { Registry } from '@sdrx/daemon';
import { namespaceId, namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { allocate, failed, given, keptFiles, mapOf, refused } from '../support/allocation.js';
import { type Daemon, launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { numbersNamespaces } from '../support/numbers-namespaces.js';
import { plant } from '../support/plant.js';
import { needsRoot } from '../support/privileges.js';
import { leavingNoTrace } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

const NAMESPACES_PER_USER = 256;

/** Starts a daemon that sees a line more in /etc/passwd or /etc/group. */
function startWith(t: Test, file: '/etc/passwd' | '/etc/group', line: string): Promise<Daemon> {
  const folder = new Folder();
  t.teardown(() => folder[Symbol.dispose]());
  const copy = folder.join('copy');
  writeFileSync(copy, `${readFileSync(file, 'utf8')}${line}\n`, { mode: 0o644 });
  const script = `mount --bind "$0" ${file} && exec "$@"`;
  return startDaemon(t, { through: ['unshare', '--mount', 'sh', '-c', script, copy] });
}

/** Starts a daemon in a user namespace of its own with this map, lines of `inside outside count`. */
async function startInside(t: Test, map: string): Promise<Daemon> {
  const script = 'until read -r _ < /proc/self/gid_map; do sleep 0.01; done; exec "$@"';
  const daemon = launchDaemon(t, { through: ['unshare', '--user', 'sh', '-c', script, 'sh'] });
  const own = readlinkSync('/proc/self/ns/user');
  await until(() => readlinkSync(`/proc/${daemon.pid}/ns/user`) !== own);
  for (const kind of ['uid_map', 'gid_map']) writeFileSync(`/proc/${daemon.pid}/${kind}`, map);
  await daemon.waitForLog(/ready/);
  return daemon;
}

t.test('a name is refused', needsRoot, async (t) => {
  const daemon = await startDaemon(t);

  await t.test(
    'that a registered namespace has',
    leavingNoTrace(daemon, async (t) => {
      using namespace = new UserNamespace();
      using fd = namespace.open();
      using other = new UserNamespace();
      using otherFd = other.open();
      using _planted = plant(daemon, { userns: namespaceInode(otherFd.number), name: 'taken' });
      t.strictSame(await allocate(daemon, fd, 'taken'), refused('NameExists'));
      t.equal(mapOf(namespace), '');
    }),
  );

  await t.test('that a namespace was just given', async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    using other = new UserNamespace();
    using otherFd = other.open();
    t.strictSame(await allocate(daemon, otherFd, 'given'), given('given'));
    const files = keptFiles(daemon);
    t.strictSame(await allocate(daemon, fd, 'given'), refused('NameExists'));
    t.equal(mapOf(namespace), '');
    t.strictSame(keptFiles(daemon), files);
  });

  await t.test('to all but one of those who ask for it at once', async (t) => {
    const namespaces = Array.from({ length: 8 }, () => new UserNamespace());
    const fds = namespaces.map((namespace) => namespace.open());
    const replies = await Promise.all(fds.map((fd) => allocate(daemon, fd, 'contested')));
    t.equal(replies.filter(({ error }) => error === undefined).length, 1);
    t.equal(replies.filter(({ error }) => error === refused('NameExists').error).length, 7);
    t.equal(namespaces.filter((namespace) => mapOf(namespace) !== '').length, 1);
    for (const fd of fds) fd.close();
    for (const namespace of namespaces) namespace[Symbol.dispose]();
  });
});

for (const [what, file, line] of [
  ['user', '/etc/passwd', 'ns-someone-0:x:12345:12345::/:/bin/sh'],
  ['group', '/etc/group', 'ns-someone-0:x:12345:'],
] as const) {
  t.test(`a name whose first ${what} the system has already is refused`, needsRoot, async (t) => {
    const daemon = await startWith(t, file, line);
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(daemon, fd, 'someone'), refused('NameExists'));
    t.equal(mapOf(namespace), '');
    t.strictSame(await allocate(daemon, fd, 'someone-else'), given('someone-else'));
  });
}

for (const [what, file, line] of [
  ['user', '/etc/passwd', 'someone:x:1622999040:100::/:/bin/sh'],
  ['group', '/etc/group', 'someone:x:1622999040:'],
] as const) {
  t.test(`ids of which a ${what} of the system has the first are not given away`, needsRoot, async (t) => {
    const daemon = await startWith(t, file, line);
    using namespace = new UserNamespace();
    using fd = namespace.open();
    t.strictSame(await allocate(daemon, fd, 'probe'), given('probe'));
    t.match(mapOf(namespace), /^0 \d+ 65536$/);
    t.not(mapOf(namespace), '0 1622999040 65536');
  });
}

t.test('a namespace', needsRoot, async (t) => {
  const daemon = await startDaemon(t);

  await t.test(
    'that is registered is refused',
    leavingNoTrace(daemon, async (t) => {
      using namespace = new UserNamespace();
      using fd = namespace.open();
      using _planted = plant(daemon, { userns: namespaceInode(fd.number) });
      t.strictSame(await allocate(daemon, fd, 'again'), refused('UserNamespaceExists'));
      t.equal(mapOf(namespace), '');
    }),
  );

  await t.test('that is asked for twice at once gets one range', async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const replies = await Promise.all(['one', 'two', 'three', 'four'].map((name) => allocate(daemon, fd, name)));
    t.equal(replies.filter(({ error }) => error === undefined).length, 1);
    const errors = replies.flatMap(({ error }) => error ?? []);
    t.equal(errors.length, 3);
    // Who came late enough found its maps written.
    const possible = [refused('UserNamespaceExists').error, 'org.varlink.service.InvalidParameter'];
    for (const error of errors) t.ok(possible.includes(error), error);
  });

  await t.test('whose inode a dead one had is not refused', numbersNamespaces, async (t) => {
    using namespace = new UserNamespace();
    using fd = namespace.open();
    const inode = namespaceInode(fd.number);
    using _planted = plant(daemon, { userns: inode, name: 'dead', range: { start: 524_288, size: 65_536, target: 0 } });
    const ids = `${daemon.runtimeDirectory}/nsresource/namespace-ids`;
    mkdirSync(ids, { recursive: true });
    // An id that no namespace has had for long.
    symlinkSync('1', `${ids}/i${inode}`);
    t.strictSame(await allocate(daemon, fd, 'alive'), given('alive'));
    t.notOk(existsSync(`${daemon.registryDirectory}/ndead.userns`));
    t.equal(JSON.parse(readFileSync(`${daemon.registryDirectory}/i${inode}.userns`, 'utf8')).name, 'alive');
    t.match(readlinkSync(`${ids}/i${inode}`), new RegExp(`^${namespaceId(fd.number)} `));
  });
});

t.test('a user can have 256 namespaces, and another once one of them is dead', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const namespaces = Array.from({ length: NAMESPACES_PER_USER }, () => new UserNamespace());
  t.teardown(() => {
    for (const namespace of namespaces) namespace[Symbol.dispose]();
  });
  for (const [index, namespace] of namespaces.entries()) {
    using fd = namespace.open();
    const reply = await allocate(daemon, fd, `full-${index}`);
    if (reply.error !== undefined) t.fail(`namespace ${index}: ${JSON.stringify(reply)}`);
  }
  using namespace = new UserNamespace();
  using fd = namespace.open();
  const files = keptFiles(daemon);
  t.strictSame(await allocate(daemon, fd, 'one-more'), failed('EUSERS', 87));
  t.equal(mapOf(namespace), '');
  t.strictSame(keptFiles(daemon), files);

  await namespaces[100]?.end();
  t.strictSame(await allocate(daemon, fd, 'one-more'), given('one-more'));
  t.notOk(existsSync(`${daemon.registryDirectory}/nfull-100.userns`));
});

/** A namespace below the one that a daemon is in. */
function below(daemon: Daemon): UserNamespace {
  return new UserNamespace(['nsenter', `--user=/proc/${daemon.pid}/ns/user`]);
}

t.test('without any of the ids that it may give away the daemon says so', needsRoot, async (t) => {
  const daemon = await startInside(t, '0 0 61184\n65520 65520 16\n');
  using namespace = below(daemon);
  using fd = namespace.open();
  for (const size of [1, 65_536]) {
    t.strictSame(await allocate(daemon, fd, 'none', { size }), refused('DynamicRangeUnavailable'));
  }
  t.equal(mapOf(namespace), '');
  t.ok(
    keptFiles(daemon).every((file) => !/\d/.test(file)),
    'nothing is stored',
  );
});

t.test('without room for a range among its ids the daemon says so', needsRoot, async (t) => {
  // A whole range but for the last id.
  const daemon = await startInside(t, '0 0 65536\n524288 524288 65535\n');
  using namespace = below(daemon);
  using fd = namespace.open();
  t.strictSame(await allocate(daemon, fd, 'little'), refused('DynamicRangeUnavailable'));
  t.equal(mapOf(namespace), '');
  t.ok(
    keptFiles(daemon).every((file) => !/\d/.test(file)),
    'nothing is stored',
  );
  t.strictSame(await allocate(daemon, fd, 'little', { size: 1 }), given('little'), 'a single id still is there');
});

t.test('when all ids are taken the daemon says so', needsRoot, async (t) => {
  // In memory, as /run is: thousands of entries are written there, each for good.
  const runtimeDirectory = mkdtempSync('/dev/shm/sdrx-test-');
  t.teardown(() => rmSync(runtimeDirectory, { recursive: true }));
  const daemon = await startDaemon(t, { runtimeDirectory });
  using namespace = new UserNamespace();
  using fd = namespace.open();
  using registry = Registry.open(daemon.runtimeDirectory);
  // The manager would find out that these namespaces don't exist.
  daemon.kill('SIGSTOP');
  try {
    for (let start = 61_184; start <= 65_519; start++) {
      const range = { start, size: 1, target: 0 };
      registry.store({ owner: 1, name: `planted-${start}`, userns: start, range, cgroups: [] });
    }
    t.strictSame(await allocate(daemon, fd, 'late', { size: 1 }), refused('NoDynamicRange'));
    t.equal(mapOf(namespace), '');
    t.notOk(existsSync(`${daemon.registryDirectory}/i${namespaceInode(fd.number)}.userns`));
    t.strictSame(await allocate(daemon, fd, 'late'), given('late'), 'ranges of the other size are there');
  } finally {
    await daemon.stop('SIGKILL');
  }
});
