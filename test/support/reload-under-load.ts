import { existsSync, lstatSync, readdirSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Registry } from '@sdrx/daemon';
import type { Test } from 'tap';
import { allocate, ask, mapOf } from './allocation.js';
import { startDaemon } from './daemon.js';
import { Folder } from './folder.js';
import { managerPid } from './manager-pid.js';
import { asReloaded, ended, reloadBySignal } from './reload.js';
import { SteadyClients } from './steady-clients.js';
import { settled } from './traces.js';
import { untilOr } from './until.js';
import { UserNamespace } from './user-namespace.js';

const RECORD = {
  method: 'io.systemd.UserDatabase.GetUserRecord',
  parameters: { uid: 4_000_000_000, service: 'io.systemd.NamespaceResource' },
};

/** How long what is left may take to be cleared away, in milliseconds. */
const LIMIT = 60_000;

/** Has a daemon reload so many times, while clients call it without a pause and namespaces get ids and die: none of it is lost. */
export async function reloadUnderLoad(t: Test, reloads: number): Promise<void> {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  await using clients = new SteadyClients();
  for (const kept of [true, false]) clients.start(daemon.socketPath, kept, RECORD);
  using staying = new UserNamespace();
  {
    using fd = staying.open();
    await allocate(daemon, fd, 'staying');
  }
  let isOver = false;
  let allocations = 0;
  const allocating = (async () => {
    for (; !isOver; allocations++) {
      using namespace = new UserNamespace();
      using fd = namespace.open();
      const { error } = await allocate(daemon, fd, `mortal-${allocations}`);
      t.equal(error, undefined);
      t.not(mapOf(namespace), '');
      await setTimeout(50);
    }
  })();

  for (let round = 0; round < reloads; round++) {
    const former = managerPid(daemon);
    const pid = await reloadBySignal(daemon);
    await ended(daemon, former);
    t.equal(managerPid(daemon), pid);
  }
  isOver = true;
  await allocating;
  for (const { calls, connections, errors, lost } of await clients.stop()) {
    t.strictSame(lost, []);
    t.strictSame(errors, { 'io.systemd.UserDatabase.NoRecordFound': calls });
    t.comment(`${calls} calls over ${connections} connections, ${allocations} allocations`);
  }

  const reloaded = asReloaded(daemon);
  await settled(reloaded, () => true);
  t.equal(reloaded.children().length, 5, 'workers, and no process beside');
  t.match(await ask(daemon, 'User', { userName: 'ns-staying-0' }), { parameters: { record: { service: /./ } } });
  using registry = Registry.open(folder.path);
  await untilOr(
    LIMIT,
    () => registry.inodes().length === 1,
    () => `registered still: ${registry.inodes()}`,
  );
  t.strictSame(readdirSync(folder.join('nsresource')).sort(), [
    'control',
    `ledger.${reloaded.pid}`,
    'manager',
    'namespace-ids',
    'registry',
  ]);
  await daemon.stop();
  t.notOk(existsSync(daemon.socketPath));
  t.throws(() => lstatSync(folder.join('userdb/io.systemd.NamespaceResource')), { code: 'ENOENT' });
}
