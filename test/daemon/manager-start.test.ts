import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { bind, type Fd, listen, pipe, spawn, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { type Daemon, launchDaemon, nsresourced, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { passedSocket } from '../support/passed-socket.js';
import { needsRoot } from '../support/privileges.js';
import { ServiceManager } from '../support/service-manager.js';
import { settled } from '../support/settled.js';
import { until } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';
import { waitForExit } from '../support/wait-for-exit.js';
import { workerScript } from '../support/worker-script.js';

const INFO = 'org.varlink.service.GetInfo';
const METHODS = [
  'AllocateUserRange',
  'RegisterUserNamespace',
  'AddMountToUserNamespace',
  'AddControlGroupToUserNamespace',
  'AddNetworkToUserNamespace',
];

const mode = (path: string) => (lstatSync(path).mode & 0o7777).toString(8);
const link = (daemon: Daemon) => `${daemon.runtimeDirectory}/userdb/io.systemd.NamespaceResource`;

t.test('the socket is open to everybody, whatever the umask was', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { through: ['sh', '-c', 'umask 0077 && exec "$@"', 'sh'] });
  t.ok(statSync(daemon.socketPath).isSocket());
  t.equal(mode(daemon.socketPath), '666');
});

t.test('all users may look into the directories, whatever the umask was', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { through: ['sh', '-c', 'umask 0077 && exec "$@"', 'sh'] });
  t.equal(mode(`${daemon.runtimeDirectory}/nsresource`), '755');
  t.equal(mode(daemon.registryDirectory), '755');
  t.equal(mode(`${daemon.runtimeDirectory}/userdb`), '755');
});

t.test('the lock of the registry is for root alone', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  t.equal(mode(`${daemon.registryDirectory}/lock`), '600');
});

t.test('user databases find the socket by a relative link', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  t.equal(readlinkSync(link(daemon)), '../io.systemd.NamespaceResource');
  const { parameters } = await varlinkCall(link(daemon), INFO);
  t.equal(parameters?.product, 'nsresourced');
});

t.test('when it says that it is ready, connections are accepted', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
  t.match(daemon.log(), `nsresourced ready at ${daemon.socketPath}`);
});

t.test('says once that it is ready', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await settled(daemon.pid);
  t.equal(daemon.log().match(/ready/g)?.length, 1);
});

t.test('a socket that a killed daemon left behind is replaced', needsRoot, async (t) => {
  using folder = new Folder();
  const killed = await startDaemon(t, { runtimeDirectory: folder.path });
  killed.kill('SIGKILL');
  await killed.gone;
  await t.rejects(varlinkCall(killed.socketPath, INFO), { code: 'ECONNREFUSED' });

  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
  t.equal((await varlinkCall(link(daemon), INFO)).error, undefined);
  await daemon.stop();
});

t.test('what is no socket is not replaced', needsRoot, async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join('precious'), 'kept');
  const daemon = launchDaemon(t, { args: [`--listen=${folder.join('precious')}`] });
  t.equal((await daemon.gone).code, 1);
  t.match(daemon.log(), `EADDRINUSE: address already in use, bind '${folder.join('precious')}'`);
  t.equal(readFileSync(folder.join('precious'), 'utf8'), 'kept');
});

t.test('listens where --listen says, and the link leads there', needsRoot, async (t) => {
  using folder = new Folder();
  const path = folder.join('below', 'socket');
  const daemon = await startDaemon(t, { args: [`--listen=${path}`] });
  t.equal((await varlinkCall(path, INFO)).error, undefined);
  t.equal((await varlinkCall(link(daemon), INFO)).error, undefined);
  t.notOk(existsSync(daemon.socketPath));
  await daemon.stop();
  t.notOk(existsSync(path));
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} ends it with success, and nothing is left but the registry`, needsRoot, async (t) => {
    const daemon = await startDaemon(t);
    await until(() => daemon.children().length === 5);
    const workers = daemon.children();
    t.strictSame(await daemon.stop(signal), { code: 0, signal: null });
    t.notOk(existsSync(daemon.socketPath));
    t.throws(() => lstatSync(link(daemon)), { code: 'ENOENT' });
    t.ok(existsSync(daemon.registryDirectory));
    for (const worker of workers) t.notOk(existsSync(`/proc/${worker}`), 'the worker has ended and is reaped');
  });
}

t.test('a second SIGTERM does not keep it from ending in order', needsRoot, async (t) => {
  // Workers that take their time to end, so that the second one comes meanwhile.
  const script = workerScript(
    t,
    `trap ': > "$FOLDER/told"' TERM`,
    ': > "$FOLDER/listens.$$"',
    // Not longer than the test, however that goes.
    'while [ -d "$FOLDER" ] && ! [ -e "$FOLDER/released" ]; do sleep 0.05; done',
    'exit 0',
  );
  const daemon = await startDaemon(t, { worker: script.path });
  await until(() => readdirSync(script.folder.path).filter((file) => file.startsWith('listens')).length === 5);
  daemon.kill('SIGTERM');
  await until(() => existsSync(script.folder.join('told')));
  daemon.kill('SIGTERM');
  daemon.kill('SIGINT');
  await settled(daemon.pid);
  writeFileSync(script.folder.join('released'), '');
  t.strictSame(await daemon.gone, { code: 0, signal: null });
  t.notOk(existsSync(daemon.socketPath));
});

t.test('a signal that comes when all is done changes nothing', needsRoot, async (t) => {
  using folder = new Folder();
  // In the manager and in each worker, when its loop is gone.
  const late = folder.join('late.cjs');
  const signals = `['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']`;
  writeFileSync(late, `process.on('exit', () => ${signals}.forEach((signal) => process.kill(process.pid, signal)))`);
  const daemon = await startDaemon(t, { env: { NODE_OPTIONS: `--require=${late}` } });
  await settled(daemon.pid);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
  t.notMatch(daemon.log(), /SIG[A-Z]|killed/);
});

/** Listens at a path as another service, until the test ends. */
function listenAt(t: Test, path: string): Fd {
  const socket = unixSocket();
  t.teardown(() => socket.close());
  bind(socket.number, path);
  listen(socket.number);
  return socket;
}

t.test('the names of a socket that another service has put in place of ours stay', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  rmSync(daemon.socketPath);
  rmSync(link(daemon));
  listenAt(t, daemon.socketPath);
  symlinkSync(daemon.socketPath, link(daemon));
  await daemon.stop();
  t.ok(lstatSync(daemon.socketPath).isSocket());
  t.equal(readlinkSync(link(daemon)), daemon.socketPath);
});

t.test('a second daemon for the same runtime directory is refused, and the first one goes on', needsRoot, async (t) => {
  using folder = new Folder();
  const first = await startDaemon(t, { runtimeDirectory: folder.path });
  const elsewhere = [`--listen=${folder.join('elsewhere')}`];
  for (const args of [[], elsewhere]) {
    const second = launchDaemon(t, { runtimeDirectory: folder.path, args });
    t.strictSame(await second.gone, { code: 1, signal: null });
    t.match(second.log(), `nsresourced runs already for ${folder.path}, as process ${first.pid}: end that one first`);
    t.equal(second.log().match(/\n/g)?.length, 1, 'it did nothing else');
  }
  t.equal((await varlinkCall(first.socketPath, INFO)).error, undefined);
  t.equal((await varlinkCall(link(first), INFO)).error, undefined);
  await first.stop();
});

t.test('so is one that is passed a socket', needsRoot, async (t) => {
  using folder = new Folder();
  const socket = passedSocket(t);
  const first = await startDaemon(t, { runtimeDirectory: folder.path, passed: [socket.fd.number] });
  const second = launchDaemon(t, { runtimeDirectory: folder.path, passed: [socket.fd.number] });
  t.strictSame(await second.gone, { code: 1, signal: null });
  t.match(second.log(), `nsresourced runs already for ${folder.path}, as process ${first.pid}`);
  t.equal((await varlinkCall(socket.path, INFO)).error, undefined);
  await first.stop();
});

t.test('of two daemons that start at once one serves', needsRoot, async (t) => {
  using folder = new Folder();
  const daemons = [1, 2, 3].map(() => launchDaemon(t, { runtimeDirectory: folder.path }));
  const ready = daemons.map(async (daemon) => {
    try {
      await daemon.waitForLog(/^nsresourced ready/m);
      return daemon;
    } catch {
      return undefined;
    }
  });
  const served = (await Promise.all(ready)).filter((daemon) => daemon !== undefined);
  t.equal(served.length, 1);
  t.equal((await varlinkCall(`${folder.path}/io.systemd.NamespaceResource`, INFO)).error, undefined);
  for (const daemon of daemons) await daemon.stop();
});

t.test('a socket that another service listens at is left to it', needsRoot, async (t) => {
  using folder = new Folder();
  const path = folder.join('io.systemd.NamespaceResource');
  const socket = listenAt(t, path);
  const { ino } = lstatSync(path);
  const daemon = launchDaemon(t, { runtimeDirectory: folder.path });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), `process ${process.pid} listens at '${path}' already: end that service first`);
  t.equal(lstatSync(path).ino, ino);
  t.notOk(existsSync(folder.join('nsresource/registry')), 'nothing else was done');
  // As is one whose queue is full: what asked before is still in it.
  listen(socket.number, 0);
  const another = launchDaemon(t, { runtimeDirectory: folder.path });
  t.strictSame(await another.gone, { code: 1, signal: null });
  t.match(another.log(), `listens at '${path}' already`);
});

t.test('a killed daemon is followed by another while its workers still end', needsRoot, async (t) => {
  using folder = new Folder();
  const script = workerScript(t, `trap '' TERM`, ': > "$FOLDER/$$"');
  const killed = await startDaemon(t, { runtimeDirectory: folder.path, worker: script.path });
  await until(() => readdirSync(script.folder.path).length === 6);
  const workers = killed.children();
  t.teardown(() => {
    for (const worker of workers) process.kill(worker, 'SIGKILL');
  });
  killed.kill('SIGKILL');
  await killed.exited;
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  t.ok(
    workers.every((worker) => existsSync(`/proc/${worker}`)),
    'they hold the old socket, which listens still',
  );
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
  await daemon.stop();
});

t.test('a directory that can not be made ends it with an error that names it', needsRoot, async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join('file'), '');
  const daemon = launchDaemon(t, { runtimeDirectory: folder.join('file') });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), folder.join('file', 'nsresource'));
  t.notMatch(daemon.log(), 'ready');
});

t.test('where no link can be made, no socket accepts connections', needsRoot, async (t) => {
  using folder = new Folder();
  mkdirSync(folder.join('userdb/io.systemd.NamespaceResource/file'), { recursive: true });
  const daemon = launchDaemon(t, { runtimeDirectory: folder.path });
  t.equal((await daemon.gone).code, 1);
  t.match(daemon.log(), folder.join('userdb/io.systemd.NamespaceResource'));
  await t.rejects(varlinkCall(daemon.socketPath, INFO));
});

t.test('goes on when nobody reads its standard error any more', needsRoot, async (t) => {
  using folder = new Folder();
  const manager = new ServiceManager(t);
  const [reader, writer] = pipe();
  reader.close();
  const daemon = spawn(process.execPath, {
    args: [nsresourced, `--runtime-directory=${folder.path}`, '--userns-restrict=off'],
    env: { PATH: process.env.PATH, NOTIFY_SOCKET: manager.notifySocket },
    fds: [null, null, writer],
  });
  writer.close();
  t.teardown(() => daemon.pidfd.number !== -1 && daemon.kill('SIGKILL'));
  await manager.waitFor(/READY=1/);
  t.equal((await varlinkCall(folder.join('io.systemd.NamespaceResource'), INFO)).error, undefined);
  daemon.kill('SIGTERM');
  t.match(waitForExit(daemon), { code: 'exited', status: 0 });
});

t.test('require, where it can not be had, is said at once', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  t.match(daemon.log(), /proceeding with user namespace interfaces disabled.*\n(.*\n)*nsresourced ready/);
  t.notMatch(daemon.log(), 'WITHOUT');
});

t.test('without userns-restrict no method is supported, whatever its parameters are', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  for (const method of METHODS) {
    for (const parameters of [{}, { name: 'probe', size: 65536, userNamespaceFileDescriptor: 0 }, { bogus: [] }]) {
      const reply = await varlinkCall(daemon.socketPath, `io.systemd.NamespaceResource.${method}`, parameters);
      t.equal(reply.error, 'io.systemd.NamespaceResource.UserNamespaceInterfaceNotSupported', method);
    }
  }
});

t.test('without userns-restrict user records are served all the same', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'require' });
  const parameters = { userName: 'ns-nobody-knows-0', service: 'io.systemd.NamespaceResource' };
  const { error } = await varlinkCall(daemon.socketPath, 'io.systemd.UserDatabase.GetUserRecord', parameters);
  t.equal(error, 'io.systemd.UserDatabase.NoRecordFound');
});

t.test('require is the default', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'default' });
  t.match(daemon.log(), 'user namespace interfaces disabled');
});

t.test('off is warned of loudly', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { restriction: 'off', env: { SYSTEMD_LOG_LEVEL: 'emerg' } });
  t.match(daemon.log(), 'WITHOUT userns-restrict: namespaces may own files on any mount');
});
