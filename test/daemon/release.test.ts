import { existsSync } from 'node:fs';
import { namespaceInode } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { keptFiles, allocate as requestRange } from '../support/allocation.js';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { ServiceManager } from '../support/service-manager.js';
import { settled } from '../support/settled.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';

/** A dead namespace is found within this time, in milliseconds. */
const LIMIT = 5000;

/** What the registry and the ids beside it hold, the lock aside. */
function traces(daemon: Daemon): string[] {
  return keptFiles(daemon).filter((file) => !['registry', 'registry/lock', 'namespace-ids'].includes(file));
}

/** Gives a namespace a range. @returns its inode */
async function allocate(daemon: Daemon, name: string, namespace: UserNamespace): Promise<number> {
  using fd = namespace.open();
  const { error } = await requestRange(daemon, fd, name);
  if (error !== undefined) throw new Error(error);
  return namespaceInode(fd.number);
}

async function start(t: Test): Promise<{ daemon: Daemon; manager: ServiceManager }> {
  const manager = new ServiceManager(t);
  const env = { NOTIFY_SOCKET: manager.notifySocket, SYSTEMD_LOG_LEVEL: 'debug' };
  return { daemon: await startDaemon(t, { env }), manager };
}

t.test('when a namespace dies, all its traces are gone within five seconds', needsRoot, async (t) => {
  const { daemon, manager } = await start(t);
  const namespace = new UserNamespace();
  t.teardown(() => namespace[Symbol.dispose]());
  const inode = await allocate(daemon, 'mortal', namespace);
  t.ok(traces(daemon).includes(`registry/i${inode}.userns`));
  t.ok(traces(daemon).includes(`registry/o0.owns/i${inode}.userns`));

  const death = performance.now();
  namespace[Symbol.dispose]();
  await daemon.waitForLog(new RegExp(`released user namespace ${inode}`));
  t.ok(performance.now() - death < LIMIT);
  t.strictSame(traces(daemon), []);
  await manager.waitFor(new RegExp(`^FDSTOREREMOVE=1\nFDNAME=userns-${inode}$`));
  t.notMatch(daemon.log(), 'releasing user namespace', 'no step of it failed');
});

t.test('one that lives keeps its own', needsRoot, async (t) => {
  const { daemon, manager } = await start(t);
  using alive = new UserNamespace();
  const mortal = new UserNamespace();
  t.teardown(() => mortal[Symbol.dispose]());
  const kept = await allocate(daemon, 'alive', alive);
  const before = traces(daemon);
  const gone = await allocate(daemon, 'mortal', mortal);
  mortal[Symbol.dispose]();
  await daemon.waitForLog(new RegExp(`released user namespace ${gone}`));
  await settled(daemon.pid);
  t.strictSame(traces(daemon), before);
  t.notOk(manager.notifications.some((text) => text.includes(`userns-${kept}`) && text.includes('REMOVE')));
});

t.test('several that die at once are all released', needsRoot, async (t) => {
  const { daemon } = await start(t);
  const namespaces = [0, 1, 2, 3].map(() => new UserNamespace());
  t.teardown(() => {
    for (const namespace of namespaces) namespace[Symbol.dispose]();
  });
  for (const [index, namespace] of namespaces.entries()) await allocate(daemon, `mortal${index}`, namespace);
  t.equal(daemon.log().match(/released/g), null);
  for (const namespace of namespaces) namespace[Symbol.dispose]();
  await until(() => traces(daemon).length === 0);
  await daemon.waitForLog(/(released user namespace[\s\S]*){4}/);
});

t.test('the name and the range of a dead one can be had again', needsRoot, async (t) => {
  const { daemon } = await start(t);
  for (let round = 0; round < 2; round++) {
    const namespace = new UserNamespace();
    t.teardown(() => namespace[Symbol.dispose]());
    await allocate(daemon, 'probe', namespace);
    t.ok(existsSync(`${daemon.registryDirectory}/u1622999040.userns`), 'the range of that name');
    namespace[Symbol.dispose]();
    await until(() => !existsSync(`${daemon.registryDirectory}/nprobe.userns`));
  }
});

t.test('a namespace that died while no daemon ran is released by the next one', needsRoot, async (t) => {
  const { daemon } = await start(t);
  const namespace = new UserNamespace();
  t.teardown(() => namespace[Symbol.dispose]());
  const inode = await allocate(daemon, 'orphan', namespace);
  daemon.kill('SIGKILL');
  await daemon.gone;
  await namespace.end();
  const manager = new ServiceManager(t);
  const next = await startDaemon(t, {
    runtimeDirectory: daemon.runtimeDirectory,
    env: { NOTIFY_SOCKET: manager.notifySocket },
  });
  t.strictSame(traces(next), []);
  await manager.waitFor(new RegExp(`^FDSTOREREMOVE=1\nFDNAME=userns-${inode}$`));
  await next.stop();
});

t.test('the daemon keeps no namespace alive', needsRoot, async (t) => {
  const { daemon } = await start(t);
  const namespace = new UserNamespace();
  t.teardown(() => namespace[Symbol.dispose]());
  const inode = await allocate(daemon, 'mortal', namespace);
  await settled(daemon.pid);
  for (const pid of [daemon.pid, ...daemon.children()]) {
    t.notOk([...processFds(pid).values()].includes(`user:[${inode}]`));
  }
});
