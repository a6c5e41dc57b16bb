import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import t from 'tap';
import { launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { runProgram } from '../support/run-program.js';
import { ServiceManager } from '../support/service-manager.js';
import { settled } from '../support/settled.js';
import { varlinkCall } from '../support/varlink-call.js';

const INFO = 'org.varlink.service.GetInfo';
const DEBUG = { SYSTEMD_LOG_LEVEL: 'debug' };

t.test('tells the service manager that it is ready once connections are accepted', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = launchDaemon(t, { env: { NOTIFY_SOCKET: manager.notifySocket } });
  await manager.waitFor(/^READY=1$/m);
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
});

t.test('says READY once, and nothing else before', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: manager.notifySocket } });
  await manager.waitFor(/READY=1/);
  await settled(daemon.pid);
  t.equal(manager.notifications.length, 1);
});

t.test('its status says where it serves', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, { restriction: 'require', env: { NOTIFY_SOCKET: manager.notifySocket } });
  const ready = await manager.waitFor(/READY=1/);
  t.match(ready, `STATUS=Serving at ${daemon.socketPath}`);
  t.notMatch(ready, 'WITHOUT');
});

t.test('its status warns of userns-restrict being off', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  await startDaemon(t, { restriction: 'off', env: { NOTIFY_SOCKET: manager.notifySocket } });
  t.match(await manager.waitFor(/READY=1/), /^STATUS=.*WITHOUT userns-restrict/m);
});

t.test('says STOPPING, once, when it is told to end', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: manager.notifySocket } });
  await daemon.stop();
  await manager.waitFor(/^STOPPING=1$/);
  t.equal(manager.notifications.filter((text) => text.includes('STOPPING')).length, 1);
});

t.test('says STOPPING when it ends because no worker lives', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const env = { NOTIFY_SOCKET: manager.notifySocket };
  const daemon = launchDaemon(t, { worker: '/bin/false', env, through: ['nice', '--adjustment=-20'] });
  t.equal((await daemon.gone).code, 1);
  await manager.waitFor(/^STOPPING=1$/);
});

t.test('fails when it can not say that it is ready', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { env: { NOTIFY_SOCKET: '/nonexistent/notify' } });
  t.equal((await daemon.gone).code, 1);
  t.match(daemon.log(), "ENOENT: no such file or directory, sendmsg '/nonexistent/notify'");
  t.notMatch(daemon.log(), 'ready');
  t.notOk(existsSync(daemon.socketPath));
});

t.test('a NOTIFY_SOCKET that is none is an error that names it', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { env: { NOTIFY_SOCKET: 'nonsense' } });
  t.equal((await daemon.gone).code, 2);
  t.match(
    daemon.log(),
    "NOTIFY_SOCKET must be an absolute path, an abstract socket's @name, or vsock:CID:PORT, not 'nonsense'",
  );
});

t.test('ends in order when the service manager does not listen any more', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: manager.notifySocket } });
  runProgram('rm', [manager.notifySocket]);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
  t.match(daemon.log(), /service manager not told: ENOENT/);
  t.notOk(existsSync(daemon.socketPath));
});

t.test('gives the watchdog a sign of life at half of its time', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const begin = performance.now();
  await startDaemon(t, {
    env: { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '200000' },
    through: ['sh', '-c', 'export WATCHDOG_PID=$$; exec "$@"', 'sh'],
  });
  const signs = () => manager.notifications.filter((text) => text === 'WATCHDOG=1').length;
  while (signs() < 5) await manager.next();
  t.ok(signs() <= 1 + (performance.now() - begin) / 100, 'no more than one each 100 ms');
});

t.test('a watchdog that is meant for another process gets no sign', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, {
    env: { NOTIFY_SOCKET: manager.notifySocket, WATCHDOG_USEC: '2000', WATCHDOG_PID: '1' },
  });
  await daemon.stop();
  t.notOk(manager.notifications.includes('WATCHDOG=1'));
});

t.test('a malformed watchdog time is an error that names its variable', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { env: { WATCHDOG_USEC: '5min' } });
  t.equal((await daemon.gone).code, 2);
  t.match(daemon.log(), "WATCHDOG_USEC must be a decimal number, not '5min'");
});

t.test('gives memory back when a fifo tells of pressure', needsRoot, async (t) => {
  using folder = new Folder();
  const fifo = folder.join('pressure');
  runProgram('mkfifo', [fifo]);
  const daemon = await startDaemon(t, { env: { ...DEBUG, MEMORY_PRESSURE_WATCH: fifo } });
  await settled(daemon.pid);
  t.notMatch(daemon.log(), 'memory is short');
  const writer = await open(fifo, 'w');
  await writer.write('x');
  await daemon.waitForLog(/memory is short, giving some back/);
  await writer.close();
});

t.test('memory pressure that is turned off is worth a debug message', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { ...DEBUG, MEMORY_PRESSURE_WATCH: '/dev/null' } });
  t.match(daemon.log(), /memory pressure not available: EHOSTDOWN/);
});

t.test('and no more than that', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { SYSTEMD_LOG_LEVEL: 'info', MEMORY_PRESSURE_WATCH: '/dev/null' } });
  t.notMatch(daemon.log(), 'memory pressure');
});

t.test('memory pressure that can not be watched is warned of', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { MEMORY_PRESSURE_WATCH: '/nonexistent/pressure' } });
  t.match(daemon.log(), /memory pressure not available: ENOENT/);
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
});

t.test('malformed memory pressure variables are an error that names them', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { env: { MEMORY_PRESSURE_WATCH: 'pressure' } });
  t.equal((await daemon.gone).code, 2);
  t.match(daemon.log(), 'MEMORY_PRESSURE_WATCH must be');
});
