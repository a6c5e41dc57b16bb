import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { connect, ReceiveBuffer, SIGRTMIN, sendMessage, sigqueue, unixSocket } from '@sdrx/linux';
import t from 'tap';
import { allocate, ask } from '../support/allocation.js';
import { launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { InstalledDaemon } from '../support/installed-daemon.js';
import { isRunning } from '../support/is-running.js';
import { managerPid } from '../support/manager-pid.js';
import { passedSocket } from '../support/passed-socket.js';
import { needsRoot } from '../support/privileges.js';
import { readable } from '../support/readable.js';
import { asReloaded, ended, reloadByCommand, reloadBySignal } from '../support/reload.js';
import { ServiceManager } from '../support/service-manager.js';
import { settled as idle } from '../support/settled.js';
import { settled } from '../support/traces.js';
import { until } from '../support/until.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

const INFO = 'org.varlink.service.GetInfo';
const RECORD = {
  method: 'io.systemd.UserDatabase.GetUserRecord',
  parameters: { uid: 4_000_000_000, service: 'io.systemd.NamespaceResource' },
};

t.test('a call that is under way is answered by the worker that has it', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await settled(daemon, () => true);
  const workers = daemon.children();
  using socket = unixSocket();
  connect(socket.number, daemon.socketPath);
  const buffer = new ReceiveBuffer(65_536);
  const call = Buffer.from(`${JSON.stringify(RECORD)}\0`);
  const answer = async () => {
    await readable(socket.number);
    const count = buffer.receive(socket.number, []) ?? 0;
    return buffer.bytes.toString('utf8', 0, count);
  };
  sendMessage(socket.number, call);
  t.match(await answer(), 'NoRecordFound');
  for (const worker of workers) process.kill(worker, 'SIGSTOP');
  sendMessage(socket.number, call);
  await reloadBySignal(daemon);
  t.equal((await ask(daemon, 'User', { uid: 1 })).error, 'io.systemd.UserDatabase.NoRecordFound');
  t.ok(isRunning(daemon.pid), 'the former manager waits for its workers');
  for (const worker of workers) process.kill(worker, 'SIGCONT');
  t.match(await answer(), 'NoRecordFound');
  t.equal(await answer(), '', 'then the connection is closed');
  t.strictSame(await daemon.exited, { code: 0, signal: null });
  await daemon.stop();
});

t.test('nsresourcectl waits for the outcome', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const outcomes = await Promise.all([reloadByCommand(daemon), reloadByCommand(daemon)]);
  const pid = managerPid(daemon);
  t.not(pid, daemon.pid);
  const done = { status: 0, output: `process ${pid} has taken over from process ${daemon.pid}\n` };
  // Of two at a time one is refused, or comes after the other.
  if (outcomes.every(({ status }) => status === 0)) t.pass('one after the other');
  else {
    t.strictSame(
      outcomes.find(({ status }) => status === 0),
      done,
    );
    t.match(
      outcomes.find(({ status }) => status !== 0),
      { status: 1, output: 'a restart is under way' },
    );
  }
  await daemon.stop();
  t.match(await reloadByCommand(daemon), { status: 1, output: /nobody listens at .*nsresource\/control/ });
});

t.test('a reload that is asked for during another one is done after it', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  daemon.kill('SIGHUP');
  await setTimeout(100);
  daemon.kill('SIGHUP');
  daemon.kill('SIGHUP');
  const generations = () => readFileSync(`${daemon.runtimeDirectory}/nsresource/manager`, 'ascii').trim().split('\n');
  await until(() => generations().length === 3, 20);
  await settled(asReloaded(daemon), () => true);
  t.equal(generations().length, 3, 'once for all that came meanwhile');
  await daemon.stop();
});

t.test('what has been installed meanwhile takes over; what does not work changes nothing', needsRoot, async (t) => {
  using installed = new InstalledDaemon();
  const daemon = await startDaemon(t, { program: installed.path });
  await settled(daemon, () => true);
  const workers = daemon.children();
  const version = async () => (await varlinkCall(daemon.socketPath, INFO)).parameters?.version;
  const before = await version();

  const refused = async (output: RegExp) => {
    t.match(await reloadByCommand(daemon), { status: 1, output });
    t.equal(managerPid(daemon), daemon.pid);
    t.equal(await version(), before);
    await settled(daemon, () => true);
    t.strictSame(daemon.children(), workers, 'its five workers, and no other process');
    t.strictSame(readdirSync(`${daemon.runtimeDirectory}/nsresource`).sort(), [
      'control',
      `ledger.${daemon.pid}`,
      'manager',
      'registry',
    ]);
  };
  installed.replace('nsresourced', 'this is no program');
  await refused(/the new process ended \(exited 1\)/);
  installed.restore();
  installed.replace('nsresourcework', 'this is no program');
  await refused(/a worker ends before it serves: exited 1/);
  installed.restore();
  installed.replace('nsresourced', 'process.kill(process.pid, "SIGKILL")');
  await refused(/the new process ended \(killed 9\)/);

  installed.upgrade('77.7.7');
  t.match(await reloadByCommand(daemon), { status: 0 });
  // By whichever worker.
  const versions = await Promise.all(Array.from({ length: 30 }, version));
  t.strictSame(new Set(versions), new Set(['77.7.7']));
  await daemon.stop();
});

t.test('it is not said to be done while a worker of the old program may take a connection', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  await settled(daemon, () => true);
  const [worker = 0] = daemon.children();
  process.kill(worker, 'SIGSTOP');
  let isSaid = false;
  const reloading = reloadByCommand(daemon).then((outcome) => {
    isSaid = true;
    return outcome;
  });
  await until(() => managerPid(daemon) !== daemon.pid, 5);
  t.notOk(isSaid);
  process.kill(worker, 'SIGCONT');
  t.match(await reloading, { status: 0 });
  await daemon.stop();
});

t.test('SIGTERM during a reload ends the service, however far that has come', needsRoot, async (t) => {
  for (const delay of [0, 100, 300, 700, 1200, 2000]) {
    using folder = new Folder();
    const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
    daemon.kill('SIGHUP');
    await setTimeout(delay);
    daemon.kill('SIGTERM');
    await ended(daemon, daemon.pid);
    // If it was the service no more, another one goes on.
    if (managerPid(daemon) !== daemon.pid) await daemon.stop();
    t.strictSame(await daemon.gone, { code: 0, signal: null }, `after ${delay} ms`, { log: daemon.log() });
    t.strictSame(readdirSync(folder.path).sort(), ['nsresource', 'userdb']);
    t.strictSame(readdirSync(folder.join('userdb')), []);
    t.strictSame(readdirSync(folder.join('nsresource')).sort(), ['manager', 'registry']);
  }
});

t.test(
  'a former manager that waits for its workers ends in order by SIGTERM, and they with it',
  needsRoot,
  async (t) => {
    const daemon = await startDaemon(t);
    await settled(daemon, () => true);
    const workers = daemon.children();
    for (const worker of workers) process.kill(worker, 'SIGSTOP');
    await reloadBySignal(daemon);
    t.ok(isRunning(daemon.pid), 'it waits');
    // Before it knows, SIGTERM is for the service, which the new one then ends.
    await daemon.waitForLog(/process \d+ has taken over/);
    daemon.kill('SIGTERM');
    await idle(daemon.pid);
    for (const worker of workers) process.kill(worker, 'SIGCONT');
    t.strictSame(await daemon.exited, { code: 0, signal: null });
    t.equal((await ask(daemon, 'User', { uid: 1 })).error, 'io.systemd.UserDatabase.NoRecordFound');
    t.notMatch(daemon.log(), 'ESTALE');
    await daemon.stop();
  },
);

t.test(
  'the service manager is told in the order that it needs, and nothing that is stored is forgotten',
  needsRoot,
  async (t) => {
    const manager = new ServiceManager(t);
    const { fd, path } = passedSocket(t);
    using folder = new Folder();
    const env = { NOTIFY_SOCKET: manager.notifySocket };
    const daemon = await startDaemon(t, { runtimeDirectory: folder.path, passed: [fd.number], env });
    using namespace = new UserNamespace();
    {
      using userns = namespace.open();
      await allocate({ socketPath: path }, userns, 'stored');
    }
    manager.notifications.splice(0);
    const pid = await reloadBySignal(daemon);
    await manager.waitFor(/^STATUS=Serving/);
    await ended(daemon, daemon.pid);
    const told = manager.notifications.filter((text) => !/^STATUS=Reloading: (\d workers|a new)/.test(text));
    const [reloading = '', main, status, ...others] = told;
    t.match(reloading, /^RELOADING=1\nMONOTONIC_USEC=\d+\nSTATUS=/);
    t.ok(Number(/MONOTONIC_USEC=(\d+)/.exec(reloading)?.[1]) <= Number(process.hrtime.bigint() / 1000n));
    t.equal(main, `MAINPID=${pid}\nREADY=1\nSTATUS=`);
    t.match(status, /^STATUS=Serving on the passed socket/);
    t.strictSame(others, [], 'neither STOPPING nor FDSTOREREMOVE');
    t.equal((await varlinkCall(path, INFO)).error, undefined);

    const inode = Number(/\d+/.exec(readlinkSync(`/proc/${namespace.child.pid}/ns/user`)));
    await namespace.end();
    t.equal(await manager.waitFor(/FDSTOREREMOVE/), `FDSTOREREMOVE=1\nFDNAME=userns-${inode}`);
    await daemon.stop();
    await manager.waitFor(/^STOPPING=1$/);
    t.ok(lstatSync(path).isSocket());
  },
);

t.test('a failed reload is told to the service manager, which knows no other end of it', needsRoot, async (t) => {
  using installed = new InstalledDaemon();
  const manager = new ServiceManager(t);
  const env = { NOTIFY_SOCKET: manager.notifySocket };
  const daemon = await startDaemon(t, { program: installed.path, env });
  installed.replace('nsresourced', 'process.exitCode = 3');
  await manager.waitFor(/^READY=1$/m);
  manager.notifications.splice(0);
  daemon.kill('SIGHUP');
  t.match(
    await manager.waitFor(/READY=1/),
    /^READY=1\nSTATUS=Serving .*Not reloaded: the new process ended \(exited 3\)$/,
  );
  t.notMatch(manager.notifications.join('\n'), 'MAINPID');
  await daemon.stop();
});

t.test('after a reload nobody else takes its place, unless it is killed', needsRoot, async (t) => {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
  const pid = await reloadBySignal(daemon);
  await ended(daemon, daemon.pid);
  const second = launchDaemon(t, { runtimeDirectory: folder.path });
  t.strictSame(await second.gone, { code: 1, signal: null });
  t.match(second.log(), `nsresourced runs already for ${folder.path}, as process ${pid}`);
  const elsewhere = launchDaemon(t, { args: [`--listen=${daemon.socketPath}`] });
  t.strictSame(await elsewhere.gone, { code: 1, signal: null });
  t.match(elsewhere.log(), `process ${pid} listens at '${daemon.socketPath}' already`);

  process.kill(pid, 'SIGKILL');
  await ended(daemon, pid);
  const next = await startDaemon(t, { runtimeDirectory: folder.path });
  t.equal((await varlinkCall(next.socketPath, INFO)).error, undefined);
  await next.stop();
});

t.test('what SIGRTMIN+18 has set stays set', needsRoot, async (t) => {
  using folder = new Folder();
  const daemon = await startDaemon(t, { runtimeDirectory: folder.path, env: { SYSTEMD_LOG_LEVEL: 'warning' } });
  sigqueue(daemon.pid, SIGRTMIN + 18, 0x107);
  // After that it takes SIGHUP, which has a lower number.
  await idle(daemon.pid);
  await reloadBySignal(daemon);
  await daemon.waitForLog(/started worker/);
  await daemon.stop();
});

t.test('with mounts to keep for a worker program of others it does not give way', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  t.match(await reloadByCommand(daemon), { status: 1, output: /what it keeps for its workers.*would be lost/ });
  t.equal(managerPid(daemon), daemon.pid);
  await daemon.stop();
});

t.test('workers of another program are replaced, too', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const script = workerScript(t);
  const daemon = await startDaemon(t, { worker: script.path, env: { NOTIFY_SOCKET: manager.notifySocket } });
  const workers = await workersOf(daemon);
  const pid = await reloadBySignal(daemon);
  await ended(daemon, daemon.pid);
  t.strictSame(workers.filter(isRunning), []);
  t.equal((await workersOf(asReloaded(daemon))).length, 5, `of process ${pid}`);
  await daemon.stop();
});

t.test(
  'when a manager that has just taken over is killed, another one starts beside what still ends',
  needsRoot,
  async (t) => {
    using folder = new Folder();
    const daemon = await startDaemon(t, { runtimeDirectory: folder.path });
    await settled(daemon, () => true);
    const workers = daemon.children();
    using socket = unixSocket();
    connect(socket.number, daemon.socketPath);
    sendMessage(socket.number, Buffer.from(`${JSON.stringify(RECORD)}\0`));
    await readable(socket.number);
    for (const worker of workers) process.kill(worker, 'SIGSTOP');
    const pid = await reloadBySignal(daemon);
    process.kill(pid, 'SIGKILL');
    await ended(daemon, pid);
    t.ok(isRunning(daemon.pid));
    const next = await startDaemon(t, { runtimeDirectory: folder.path });
    t.equal((await varlinkCall(next.socketPath, INFO)).error, undefined);
    for (const worker of workers) process.kill(worker, 'SIGCONT');
    await ended(daemon, daemon.pid);
    t.equal((await varlinkCall(next.socketPath, INFO)).error, undefined, 'who has ended has removed nothing of it');
    t.match(await reloadByCommand(next), { status: 0 });
    await next.stop();
  },
);
