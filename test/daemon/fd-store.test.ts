import { existsSync, openSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { Fd, O_DIRECTORY, SOCK_DGRAM, sendMessage, unixSocket } from '@sdrx/linux';
import t, { type Test } from 'tap';
import { keptFiles } from '../support/allocation.js';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { plant } from '../support/plant.js';
import { needsRoot } from '../support/privileges.js';
import { ServiceManager } from '../support/service-manager.js';
import { openFiles } from '../support/traces.js';
import { untilOr } from '../support/until.js';
import { type WorkerScript, workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

const LIMIT = 60_000;

/** What the Python programs below begin with. */
const PRELUDE = `
import fcntl, os, signal, socket, sys, time
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.connect(os.environ['NOTIFY_SOCKET'])
send = lambda text, *fds: socket.send_fds(notify, [text.encode()], fds)
directory = lambda path: os.open(path, os.O_RDONLY | os.O_DIRECTORY)
folder = sys.argv[1]
done = lambda: open(folder + '/done', 'w').close()
`;

interface Started {
  readonly daemon: Daemon;
  readonly script: WorkerScript;
  /** Waits until the worker's program has come to its \`done()\`. */
  readonly done: () => Promise<void>;
}

/** Starts a daemon of whose workers one is a Python program. */
async function startWith(t: Test, python: string, options: DaemonOptions = {}): Promise<Started> {
  const script = workerScript(
    t,
    'mkdir "$FOLDER/first" 2>/dev/null || exec sleep 1000',
    'exec /usr/bin/python3 "$FOLDER/program" "$FOLDER"',
  );
  writeFileSync(script.folder.join('program'), `${PRELUDE}${python}\nsignal.pause()\n`);
  const daemon = await startDaemon(t, { ...options, worker: script.path });
  const complaint = () => `the worker is not done:\n${daemon.log()}`;
  return { daemon, script, done: () => untilOr(LIMIT, () => existsSync(script.folder.join('done')), complaint) };
}

/** The paths of the folders that a process has open, but the one that it is in. */
const folders = ({ pid }: Daemon) => openFiles(pid).filter((path) => path.startsWith('/usr'));

/** Waits until the daemon has these folders open. */
function holding(daemon: Daemon, ...paths: string[]): Promise<void> {
  const complaint = () => `open are ${folders(daemon).join(' ')}, not ${paths.join(' ')}\n${daemon.log()}`;
  return untilOr(LIMIT, () => String(folders(daemon)) === String(paths), complaint);
}

t.test('what a worker has kept stays until the worker takes it back', needsRoot, async (t) => {
  const { daemon, script, done } = await startWith(
    t,
    `
send('FDSTORE=1\\nFDNAME=userns-4711', directory('/usr/bin'))
done()
while not os.path.exists(folder + '/go'): time.sleep(0.01)
send('FDSTOREREMOVE=1\\nFDNAME=userns-4712')
send('FDNAME=userns-4711\\nFDSTOREREMOVE=1')
`,
  );
  await done();
  await holding(daemon, '/usr/bin');
  writeFileSync(script.folder.join('go'), '');
  await holding(daemon);
});

t.test('a mount is kept once for each namespace', needsRoot, async (t) => {
  const { daemon, done } = await startWith(
    t,
    `
for name in ('4711', '4711', '4712'): send('FDSTORE=1\\nFDNAME=userns-' + name, directory('/usr/bin'), directory('/usr/lib'))
done()
`,
  );
  await done();
  await holding(daemon, '/usr/bin', '/usr/bin');
});

t.test('what a worker sent before it died counts', needsRoot, async (t) => {
  const { daemon } = await startWith(
    t,
    `
send('FDSTORE=1\\nFDNAME=userns-4711', directory('/usr/bin'))
os.kill(os.getpid(), 9)
`,
  );
  await holding(daemon, '/usr/bin');
  t.notMatch(daemon.log(), 'is no worker');
});

t.test('nothing else is kept, and whatever came along is closed', needsRoot, async (t) => {
  const { daemon, done } = await startWith(
    t,
    `
usr = directory('/usr/bin')
user = os.open('/proc/self/ns/user', os.O_RDONLY)
for text in ('FDSTORE=1', 'FDSTORE=1\\nFDNAME=', 'FDSTORE=1\\nFDNAME=other', 'FDSTORE=1\\nFDNAME=userns-x', 'FDSTORE=0\\nFDNAME=userns-1',
             'FDSTORE=1\\nFDNAME=userns-0', 'FDSTORE=1\\nFDNAME=userns-99999999999', 'READY=1', '', 'FDNAME=userns-1', '\\n\\n=\\n'):
    send(text, usr)
send('FDSTORE=1\\nFDNAME=userns-4711', user, os.open('/etc/passwd', os.O_RDONLY), os.open('/dev/null', os.O_RDONLY), notify.fileno())
send('FDSTORE=1\\nFDNAME=userns-4711\\n' + 'x' * 8000, usr)
reader, writer = os.pipe()
send('BARRIER=1', writer)
os.close(writer)
os.read(reader, 1)
done()
`,
  );
  const before = openFiles(daemon.pid);
  await done();
  await untilOr(
    LIMIT,
    () => String(openFiles(daemon.pid)) === String(before),
    () => `open are ${openFiles(daemon.pid)}\nnot ${before}`,
  );
  t.notOk(openFiles(daemon.pid).some((file) => file.startsWith('/usr') || file.startsWith('user:')));
  await daemon.waitForLog(/a notification of a worker is lost: EMSGSIZE/);
});

t.test(
  'more descriptors than there is room for are lost, which is warned of, and the daemon goes on',
  needsRoot,
  async (t) => {
    const { daemon, done } = await startWith(
      t,
      `
usr = directory('/usr/bin')
send('FDSTORE=1\\nFDNAME=userns-4711', *[usr] * 200)
send('FDSTORE=1\\nFDNAME=userns-4711', usr)
done()
`,
      { through: ['prlimit', '--nofile=120', '--'] },
    );
    await done();
    await holding(daemon, '/usr/bin');
    await daemon.waitForLog(/a notification of a worker is lost: EMFILE/);
  },
);

t.test('no more than 4096 mounts are kept, which is warned of', needsRoot, async (t) => {
  const { daemon, script, done } = await startWith(
    t,
    `
import ctypes
libc = ctypes.CDLL(None)
mount = lambda: libc.syscall(428, -100, b'/usr/bin', 0o2000001) # open_tree(2) with OPEN_TREE_CLONE
for batch in range(41):
    fds = [mount() for count in range(100)]
    send('FDSTORE=1\\nFDNAME=userns-%d' % (4711 + batch % 3), *fds)
    for fd in fds: os.close(fd)
done()
while not os.path.exists(folder + '/go'): time.sleep(0.01)
for inode in range(4711, 4714): send('FDSTOREREMOVE=1\\nFDNAME=userns-%d' % inode)
`,
  );
  await done();
  await daemon.waitForLog(/(4096 mounts are kept, one of user namespace 471\d is not\s[\s\S]*){4}/);
  // So a mount shows that is attached nowhere.
  const mounts = () => openFiles(daemon.pid).filter((path) => path === '/').length;
  t.equal(mounts(), 4096);
  writeFileSync(script.folder.join('go'), '');
  await untilOr(
    LIMIT,
    () => mounts() === 0,
    () => `${mounts()} are kept`,
  );
});

t.test('a process that is no worker has nothing kept', needsRoot, async (t) => {
  const { daemon, done } = await startWith(t, 'done()');
  await done();
  const before = openFiles(daemon.pid);
  const [worker = 0] = daemon.children();
  const environment = readFileSync(`/proc/${worker}/environ`, 'utf8').split('\0');
  const socket = environment.find((line) => line.startsWith('NOTIFY_SOCKET='))?.slice('NOTIFY_SOCKET='.length) ?? '';
  t.match(socket, new RegExp(`^/proc/${daemon.pid}/fd/\\d+$`));
  t.equal(readlinkSync(socket).endsWith('(deleted)'), true, 'it has no name that could be left behind');
  using sender = unixSocket(SOCK_DGRAM);
  using folder = new Fd(openSync('/usr/bin', O_DIRECTORY));
  sendMessage(sender.number, Buffer.from('FDSTORE=1\nFDNAME=userns-4711'), { fds: [folder.number], to: socket });
  await daemon.waitForLog(new RegExp(`process ${process.pid} is no worker, its notification is ignored`));
  // What came with it is closed right after it was told.
  await untilOr(
    LIMIT,
    () => String(openFiles(daemon.pid)) === String(before),
    () => `open are ${openFiles(daemon.pid)}`,
  );
});

t.test('our own workers have nothing kept', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  for (const worker of await workersOf(daemon, 5, 'nsresourcework')) {
    t.notMatch(readFileSync(`/proc/${worker}/environ`, 'utf8'), 'NOTIFY_SOCKET=');
  }
});

t.test('with a service manager the workers tell that one', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const daemon = await startDaemon(t, { env: { NOTIFY_SOCKET: manager.notifySocket } });
  for (const worker of await workersOf(daemon, 5, 'nsresourcework')) {
    t.match(readFileSync(`/proc/${worker}/environ`, 'utf8'), `NOTIFY_SOCKET=${manager.notifySocket}\0`);
  }
});

t.test(
  'a worker may tell more than the socket holds while it has the lock that the daemon waits for',
  needsRoot,
  async (t) => {
    using runtime = new Folder();
    // Long enough for the daemon to find that a namespace is dead, for whose release it needs the lock.
    const { daemon, script, done } = await startWith(
      t,
      `
lock = open('${runtime.path}/nsresource/registry/lock', 'r+')
while not os.path.exists(folder + '/registered'): time.sleep(0.01)
fcntl.flock(lock, fcntl.LOCK_EX)
end = time.monotonic() + 4
while time.monotonic() < end:
    for count in range(50): send('FDSTORE=1\\nFDNAME=userns-4711', directory('/usr/bin'))
    time.sleep(0.1)
lock.close()
done()
`,
      { runtimeDirectory: runtime.path },
    );
    using _dead = plant(daemon, { userns: 4711 });
    writeFileSync(script.folder.join('registered'), '');
    await done();
    await untilOr(
      LIMIT,
      () => !keptFiles(daemon).some((file) => file.includes('4711')),
      () => `not released:\n${daemon.log()}`,
    );
    // With what was on its way.
    await holding(daemon);
    await daemon.stop();
  },
);
