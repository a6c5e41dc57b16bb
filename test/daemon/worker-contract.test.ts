import { readFileSync, readlinkSync } from 'node:fs';
import t from 'tap';
import { type Daemon, type DaemonOptions, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { ServiceManager } from '../support/service-manager.js';
import { signalMask } from '../support/signal-status.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

/** Starts a daemon with workers that just are there to be looked at. */
async function startProbes(t: Parameters<typeof startDaemon>[0], options: DaemonOptions = {}): Promise<Daemon> {
  const daemon = await startDaemon(t, { ...options, worker: workerScript(t).path });
  await workersOf(daemon);
  return daemon;
}

/** The environment that a process was started with. */
function environmentOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, 'utf8').split('\0').filter(Boolean);
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]));
}

/** The inode of the socket that listens at a path. proc_net(5) */
function listener(path: string): string | undefined {
  const line = readFileSync('/proc/net/unix', 'utf8')
    .split('\n')
    .find((line) => line.endsWith(` ${path}`) && line.split(' ')[3] === '00010000');
  return line?.trim().split(/\s+/)[6];
}

t.test('descriptor 3 is the socket that listens', needsRoot, async (t) => {
  const daemon = await startProbes(t);
  const inode = listener(daemon.socketPath);
  t.ok(inode);
  for (const pid of daemon.children()) t.equal(processFds(pid).get(3), `socket:[${inode}]`);
});

t.test('there is no other descriptor but standard input, output and error', needsRoot, async (t) => {
  // One that the manager itself was given without being told.
  const daemon = await startProbes(t, { through: ['sh', '-c', 'exec "$@" 8</etc/passwd', 'sh'] });
  t.ok([...processFds(daemon.pid).values()].includes('/etc/passwd'));
  for (const pid of daemon.children()) {
    const fds = processFds(pid);
    t.strictSame([...fds.keys()], [0, 1, 2, 3]);
    for (const fd of [0, 1, 2]) t.equal(fds.get(fd), readlinkSync(`/proc/${daemon.pid}/fd/${fd}`));
  }
});

t.test('LISTEN_PID is the worker itself, LISTEN_FDS is one', needsRoot, async (t) => {
  const daemon = await startProbes(t);
  for (const pid of daemon.children()) {
    const { LISTEN_PID, LISTEN_FDS } = environmentOf(pid);
    t.strictSame({ LISTEN_PID, LISTEN_FDS }, { LISTEN_PID: String(pid), LISTEN_FDS: '1' });
  }
});

t.test('the first five workers are fixed, a sixth is not', needsRoot, async (t) => {
  const daemon = await startProbes(t);
  const fixed = daemon.children();
  for (const pid of fixed) t.equal(environmentOf(pid).NSRESOURCE_FIXED_WORKER, '1');
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 6);
  for (const pid of daemon.children()) {
    if (!fixed.includes(pid)) t.equal(environmentOf(pid).NSRESOURCE_FIXED_WORKER, '0');
  }
});

t.test('what replaces a fixed worker is fixed', needsRoot, async (t) => {
  const daemon = await startProbes(t);
  const [first = 0] = daemon.children();
  process.kill(first, 'SIGKILL');
  await daemon.waitForLog(/was killed/);
  await workersOf(daemon);
  for (const pid of daemon.children()) t.equal(environmentOf(pid).NSRESOURCE_FIXED_WORKER, '1');
});

for (const [restriction, api] of [
  ['off', '1'],
  ['require', '0'],
] as const) {
  t.test(`with --userns-restrict=${restriction} NSRESOURCE_API is ${api}`, needsRoot, async (t) => {
    const daemon = await startProbes(t, { restriction });
    for (const pid of daemon.children()) t.equal(environmentOf(pid).NSRESOURCE_API, api);
  });
}

for (const [level, number] of [
  ['debug', '7'],
  ['err', '3'],
  ['0', '0'],
] as const) {
  t.test(`with the log level ${level} SYSTEMD_LOG_LEVEL is ${number}`, needsRoot, async (t) => {
    const daemon = await startProbes(t, { env: { SYSTEMD_LOG_LEVEL: level } });
    for (const pid of daemon.children()) t.equal(environmentOf(pid).SYSTEMD_LOG_LEVEL, number);
  });
}

t.test('to look up a user never leads back to the daemon', needsRoot, async (t) => {
  const daemon = await startProbes(t);
  for (const pid of daemon.children()) {
    t.equal(environmentOf(pid).SYSTEMD_BYPASS_USERDB, 'io.systemd.NamespaceResource');
  }
});

t.test('what is for the manager alone is not passed on, everything else is', needsRoot, async (t) => {
  const manager = new ServiceManager(t);
  const own = { WATCHDOG_USEC: '60000000', WATCHDOG_PID: '1', LISTEN_FDNAMES: 'a:b', LISTEN_PIDFDID: '1' };
  const theirs = { NOTIFY_SOCKET: manager.notifySocket, LANG: 'C.UTF-8', SOMETHING: 'else = more' };
  const daemon = await startProbes(t, { env: { ...own, ...theirs } });
  for (const pid of daemon.children()) {
    const environment = environmentOf(pid);
    for (const variable of Object.keys(own)) t.notOk(variable in environment, variable);
    for (const [variable, value] of Object.entries(theirs)) t.equal(environment[variable], value);
  }
});

t.test('no signal is blocked, ignored or caught, whatever the manager was started with', needsRoot, async (t) => {
  const started = ['env', '--block-signal=HUP,USR1,TERM', '--ignore-signal=PIPE,QUIT,RTMIN,USR2'];
  const daemon = await startProbes(t, { through: started });
  for (const pid of daemon.children()) {
    const status = readFileSync(`/proc/${pid}/status`, 'ascii');
    for (const mask of ['SigBlk', 'SigIgn', 'SigCgt'] as const) t.equal(signalMask(mask, status), 0n, mask);
  }
});

t.test('such a manager hears its signals all the same', needsRoot, async (t) => {
  const started = ['env', '--block-signal=TERM,INT,USR2', '--ignore-signal=TERM,INT,USR2'];
  const daemon = await startProbes(t, { through: started });
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 6);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
});

t.test('a worker program gets no arguments', needsRoot, async (t) => {
  const script = workerScript(t, 'echo "$#" > "$FOLDER/$$"');
  const daemon = await startDaemon(t, { worker: script.path });
  for (const pid of await workersOf(daemon)) t.equal(readFileSync(script.folder.join(String(pid)), 'utf8'), '0\n');
});
