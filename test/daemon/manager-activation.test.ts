import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { Registry } from '@sdrx/daemon';
import {
  eventfd,
  namespaceInode,
  O_NONBLOCK,
  pipe,
  SOCK_DGRAM,
  socketPair,
  statusFlags,
  unixSocket,
} from '@sdrx/linux';
import t from 'tap';
import { launchDaemon, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { passedSocket } from '../support/passed-socket.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { ServiceManager } from '../support/service-manager.js';
import { UserNamespace } from '../support/user-namespace.js';
import { varlinkCall } from '../support/varlink-call.js';
import { isEarlyWorker, workersOf } from '../support/workers.js';

const INFO = 'org.varlink.service.GetInfo';
const ACTIVATE = '/usr/bin/systemd-socket-activate';
const needsActivate = existsSync(ACTIVATE) ? {} : { skip: `${ACTIVATE} is not installed` };

/** An inode that no namespace of this kernel has: theirs begin at 0xf0000000. */
const NOBODY = 4711;

t.test('serves the socket that it was passed, and no other', needsRoot, async (t) => {
  const { path, fd } = passedSocket(t);
  const daemon = await startDaemon(t, { passed: [fd.number] });
  t.match(daemon.log(), 'nsresourced ready on the passed socket');
  t.equal((await varlinkCall(path, INFO)).parameters?.product, 'nsresourced');
  t.strictSame(readdirSync(daemon.runtimeDirectory), ['nsresource'], 'neither socket nor link');
});

t.test('the socket may have any name', needsRoot, async (t) => {
  const { path, fd } = passedSocket(t);
  await startDaemon(t, { passed: [fd.number], env: { LISTEN_FDNAMES: 'some.other-name' } });
  t.equal((await varlinkCall(path, INFO)).error, undefined);
});

t.test('a blocking socket is made non-blocking', needsRoot, async (t) => {
  const { fd } = passedSocket(t);
  t.equal(statusFlags(fd.number) & O_NONBLOCK, 0);
  await startDaemon(t, { passed: [fd.number] });
  t.equal(statusFlags(fd.number) & O_NONBLOCK, O_NONBLOCK);
});

t.test('the file of a passed socket stays, and so does its backlog', needsRoot, async (t) => {
  const { path, fd } = passedSocket(t);
  const first = await startDaemon(t, { passed: [fd.number] });
  t.strictSame(await first.stop(), { code: 0, signal: null });
  t.ok(lstatSync(path).isSocket());
  const early = varlinkCall(path, INFO);
  await startDaemon(t, { passed: [fd.number] });
  t.equal((await early).error, undefined, 'who connected in between is served by the next one');
});

t.test('systemd-socket-activate can start it', { ...needsRoot, ...needsActivate }, async (t) => {
  using folder = new Folder();
  const path = folder.join('socket');
  const daemon = launchDaemon(t, { through: [ACTIVATE, `--listen=${path}`, '--fdname=varlink'] });
  // The file is there before the socket listens; this it says after that.
  await daemon.waitForLog(/^Listening on .*$/m);
  t.equal((await varlinkCall(path, INFO)).error, undefined);
  t.match(daemon.log(), 'nsresourced ready on the passed socket');
  await daemon.stop();
});

t.test('a second listening socket is an error', needsRoot, async (t) => {
  const [first, second] = [passedSocket(t), passedSocket(t)];
  const daemon = launchDaemon(t, {
    passed: [first.fd.number, second.fd.number],
    env: { LISTEN_FDNAMES: 'one:another' },
  });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), "ENOTUNIQ: name not unique on network, listen_fds 'another'");
});

t.test('--listen beside a passed socket is an error that names it', needsRoot, async (t) => {
  using folder = new Folder();
  const { fd } = passedSocket(t);
  const daemon = launchDaemon(t, { passed: [fd.number], args: [`--listen=${folder.join('other')}`] });
  t.strictSame(await daemon.gone, { code: 2, signal: null });
  t.match(daemon.log(), `--listen=${folder.join('other')}`);
  t.notOk(existsSync(folder.join('other')));
});

t.test('without a passed socket --listen goes with stored descriptors', needsRoot, async (t) => {
  using folder = new Folder();
  using stored = eventfd();
  await startDaemon(t, {
    passed: [stored.number],
    env: { LISTEN_FDNAMES: `userns-${NOBODY}` },
    args: [`--listen=${folder.join('socket')}`],
  });
  t.equal((await varlinkCall(folder.join('socket'), INFO)).error, undefined);
});

t.test('what is no listening stream socket is warned of by name, and closed', needsRoot, async (t) => {
  const { path, fd } = passedSocket(t);
  const [reader, writer] = pipe();
  using _reader = reader;
  using _writer = writer;
  using datagram = unixSocket(SOCK_DGRAM);
  using unbound = unixSocket();
  const [left, right] = socketPair();
  using _left = left;
  using _right = right;
  const others = { pipe: reader, datagram, unbound, connected: left };
  const daemon = await startDaemon(t, {
    passed: [...Object.values(others), fd].map(({ number }) => number),
    env: { LISTEN_FDNAMES: [...Object.keys(others), 'varlink'].join(':') },
  });
  const open = [...processFds(daemon.pid).values()];
  for (const [name, { number }] of Object.entries(others)) {
    t.match(daemon.log(), `passed descriptor '${name}' is no listening stream socket of the family AF_UNIX, closed`);
    t.notOk(open.includes(readlinkSync(`/proc/self/fd/${number}`)), `${name} is closed`);
  }
  t.notMatch(daemon.log(), "'varlink'");
  t.equal((await varlinkCall(path, INFO)).error, undefined);
});

t.test('a stored namespace that nobody knows of is dropped from the fd store', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  using stored = eventfd();
  const daemon = await startDaemon(t, {
    passed: [stored.number, stored.number],
    env: { LISTEN_FDNAMES: `userns-${NOBODY}:userns-${NOBODY}`, NOTIFY_SOCKET: manager.notifySocket },
  });
  await manager.waitFor(/READY=1/);
  const [first, ...others] = manager.notifications;
  t.equal(first, `FDSTOREREMOVE=1\nFDNAME=userns-${NOBODY}`);
  t.notOk(
    others.some((text) => text.includes('FDSTOREREMOVE')),
    'once, although two descriptors have the name',
  );
  t.notMatch(daemon.log(), 'releasing user namespace', 'no step of the release failed');
});

t.test('one that the registry knows stays in the fd store', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  using folder = new Folder();
  using namespace = new UserNamespace();
  using stored = namespace.open();
  const userns = namespaceInode(stored.number);
  using registry = Registry.open(folder.path);
  registry.store({ owner: 0, name: 'known', userns, cgroups: [] });
  const daemon = await startDaemon(t, {
    runtimeDirectory: folder.path,
    passed: [stored.number],
    env: { LISTEN_FDNAMES: `userns-${userns}`, NOTIFY_SOCKET: manager.notifySocket },
  });
  await manager.waitFor(/READY=1/);
  t.notOk(manager.notifications.some((text) => text.includes('FDSTOREREMOVE')));
  t.equal(registry.byInode(userns)?.name, 'known');
  await daemon.stop();
});

t.test('stored descriptors are closed, so that no namespace lives by them', needsRoot, async (t) => {
  using namespace = new UserNamespace();
  using held = namespace.open();
  const daemon = await startDaemon(t, {
    passed: [held.number, held.number],
    env: { LISTEN_FDNAMES: `userns-${namespaceInode(held.number)}:userns-x` },
  });
  const open = [...processFds(daemon.pid).values()];
  t.notOk(open.some((target) => target.startsWith('user:')));
});

for (const inode of ['', 'x', '-1', '12a', ' 12', '0x10', '4294967296', '99999999999999999999']) {
  t.test(`'userns-${inode}' names no inode, which is warned of`, needsRoot, async (t) => {
    const manager = new ServiceManager(t);
    using stored = eventfd();
    const daemon = await startDaemon(t, {
      passed: [stored.number],
      env: { LISTEN_FDNAMES: `userns-${inode}`, NOTIFY_SOCKET: manager.notifySocket },
    });
    t.match(daemon.log(), `passed descriptor 'userns-${inode}' names no inode, ignored`);
    await manager.waitFor(/READY=1/);
    t.equal(manager.notifications.length, 1, 'nothing is removed from the fd store');
  });
}

t.test('the highest inode there can be is one', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  using stored = eventfd();
  const name = 'userns-4294967295';
  await startDaemon(t, {
    passed: [stored.number],
    env: { LISTEN_FDNAMES: name, NOTIFY_SOCKET: manager.notifySocket },
  });
  await manager.waitFor(/^FDSTOREREMOVE=1\nFDNAME=userns-4294967295$/);
});

t.test('what was passed to another process is none of its business', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { env: { LISTEN_PID: '1', LISTEN_FDS: '1' } });
  t.match(daemon.log(), `nsresourced ready at ${daemon.socketPath}`);
});

const MALFORMED: readonly (readonly [string, Readonly<Record<string, string>>])[] = [
  ['LISTEN_PID', { LISTEN_PID: 'me', LISTEN_FDS: '1' }],
  ['LISTEN_FDS', { LISTEN_FDS: 'one' }],
  ['LISTEN_FDS', { LISTEN_FDS: '-1' }],
  ['LISTEN_FDNAMES', { LISTEN_FDS: '1', LISTEN_FDNAMES: 'one:two' }],
  // Fewer are passed than it says. What comes after them are descriptors of Node's own.
  ['LISTEN_FDS', { LISTEN_FDS: '2' }],
  ['LISTEN_FDS', { LISTEN_FDS: '9007199254740991' }],
];
for (const [variable, env] of MALFORMED) {
  t.test(`${JSON.stringify(env)} is an error that names ${variable}`, needsRoot, async (t) => {
    const { fd } = passedSocket(t);
    const assignments = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const daemon = launchDaemon(t, {
      passed: [fd.number],
      through: ['sh', '-c', `exec env LISTEN_PID=$$ "$@"`, 'sh', ...assignments],
    });
    t.strictSame(await daemon.gone, { code: 2, signal: null });
    t.match(daemon.log(), `environment variable ${variable} must be `);
    t.notMatch(daemon.log(), 'ready');
  });
}

t.test('none of the variables reaches a worker but those of its own', needsRoot, async (t) => {
  const { fd } = passedSocket(t);
  const daemon = await startDaemon(t, { passed: [fd.number], env: { LISTEN_FDNAMES: 'varlink', LISTEN_PIDFDID: '1' } });
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  for (const worker of workers.filter((pid) => !isEarlyWorker(pid))) {
    const environment = readFileSync(`/proc/${worker}/environ`, 'utf8').split('\0');
    t.strictSame(
      environment
        .filter((line) => line.startsWith('LISTEN_'))
        .map((line) => line.replace(/=.*/, ''))
        .sort(),
      ['LISTEN_FDS', 'LISTEN_PID'],
    );
  }
});
