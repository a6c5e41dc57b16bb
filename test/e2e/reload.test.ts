import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { InstalledDaemon } from '../support/installed-daemon.js';
import { managerPid } from '../support/manager-pid.js';
import { needsRoot } from '../support/privileges.js';
import { asReloaded, ended, reloadByCommand, reloadBySignal } from '../support/reload.js';
import { reloadUnderLoad } from '../support/reload-under-load.js';
import { SteadyClients } from '../support/steady-clients.js';
import { settled } from '../support/traces.js';

t.test('five reloads lose no call and no death', needsRoot, (t) => reloadUnderLoad(t, 5));

t.test('descriptors and processes are as many after the sixth reload as after the second', needsRoot, async (t) => {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  const look = async () => {
    const former = managerPid(daemon);
    await reloadBySignal(daemon);
    await ended(daemon, former);
    const reloaded = asReloaded(daemon);
    const state = await settled(reloaded, () => true);
    return state?.map((text) => text.replaceAll(/\d+/g, 'N'));
  };
  await look();
  const second = await look();
  for (let round = 0; round < 3; round++) await reloadBySignal(daemon);
  t.strictSame(await look(), second);
  await daemon.stop();
});

t.test('a reload that fails loses no call that the new workers had taken', needsRoot, async (t) => {
  using installed = new InstalledDaemon();
  const daemon = await startDaemon(t, { program: installed.path });
  await using clients = new SteadyClients();
  const method = 'org.varlink.service.GetInfo';
  for (const kept of [true, false]) clients.start(daemon.socketPath, kept, { method });
  // The last one of them fails when others serve.
  installed.prefix(
    'nsresourcework',
    "if (process.argv.includes('--slot=4')) { const end = Date.now() + 2000; while (Date.now() < end); process.exit(1); }",
  );
  for (let round = 0; round < 3; round++) {
    t.match(await reloadByCommand(daemon), { status: 1, output: 'a worker ends before it serves' });
    t.equal(managerPid(daemon), daemon.pid);
  }
  for (const { calls, errors, lost } of await clients.stop()) {
    t.strictSame(lost, []);
    t.strictSame(errors, { none: calls });
  }
  await daemon.stop();
});
