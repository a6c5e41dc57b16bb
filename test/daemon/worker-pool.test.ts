import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Daemon, launchDaemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { settled } from '../support/settled.js';
import { until } from '../support/until.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

const DEBUG = { SYSTEMD_LOG_LEVEL: 'debug' };

/** Ahead of whatever else the machine does: these tests need 125 starts a second. */
const FAST = ['nice', '--adjustment=-20'];

/** For the shell, without a process more: the first worker stays, whatever the others do. */
const STAY_FIRST = 'set -C; { true > "$FOLDER/first"; } 2>/dev/null && exec sleep 1000';

/** When a process started, in seconds since boot. proc_pid_stat(5); a clock tick is 10 ms everywhere. */
function startOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ');
  return Number(fields[19]) / 100;
}

/** A daemon whose first worker does something, and whose others wait for their end. */
async function startWithFirst(t: Test, what: string, through: readonly string[] = []): Promise<Daemon> {
  const script = workerScript(t, `mkdir "$FOLDER/first" 2>/dev/null && { cd "$FOLDER"; ${what}; }`);
  return await startDaemon(t, { worker: script.path, env: DEBUG, through });
}

t.test('five workers are always there', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  await settled(daemon.pid);
  t.strictSame(daemon.children(), workers, 'and no more than these');
});

t.test('a worker that is killed is replaced', needsRoot, async (t) => {
  const daemon = await startDaemon(t);
  const [first = 0, ...others] = await workersOf(daemon, 5, 'nsresourcework');
  process.kill(first, 'SIGKILL');
  await daemon.waitForLog(new RegExp(`worker ${first} was killed by SIGKILL`));
  const workers = await workersOf(daemon, 5, 'nsresourcework');
  t.notOk(workers.includes(first));
  for (const other of others) t.ok(workers.includes(other), 'the others go on');
});

t.test('so are all of them at once', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  const before = await workersOf(daemon);
  for (const worker of before) process.kill(worker, 'SIGKILL');
  await daemon.waitForLog(/(was killed by SIGKILL[\s\S]*){5}/);
  const after = await workersOf(daemon);
  for (const worker of before) t.notOk(after.includes(worker));
});

t.test('SIGUSR2 brings one more', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  await workersOf(daemon);
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 6);
  daemon.kill('SIGUSR2');
  await workersOf(daemon, 7);
});

t.test('one beyond five is not replaced', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  await workersOf(daemon);
  daemon.kill('SIGUSR2');
  const [first = 0] = await workersOf(daemon, 6);
  process.kill(first, 'SIGKILL');
  await daemon.waitForLog(/was killed/);
  await settled(daemon.pid);
  t.equal(daemon.children().length, 5);
});

t.test('a worker that ends with success is worth a debug message', needsRoot, async (t) => {
  const daemon = await startWithFirst(t, 'exit 0');
  await daemon.waitForLog(/worker \d+ ended/);
  await workersOf(daemon);
});

t.test('and nothing on the usual level', needsRoot, async (t) => {
  const script = workerScript(t, 'mkdir "$FOLDER/first" 2>/dev/null && exit 0');
  const daemon = await startDaemon(t, { worker: script.path });
  await until(() => existsSync(script.folder.join('first')));
  await workersOf(daemon);
  await settled(daemon.pid);
  t.notMatch(daemon.log(), /worker \d/);
});

t.test('a worker that fails is warned of with its status', needsRoot, async (t) => {
  const daemon = await startWithFirst(t, 'exit 42');
  await daemon.waitForLog(/worker \d+ failed with exit status 42\n/);
  await workersOf(daemon);
});

t.test('a worker that a signal killed is warned of with the signal', needsRoot, async (t) => {
  const daemon = await startWithFirst(t, 'kill -s HUP $$');
  await daemon.waitForLog(/worker \d+ was killed by SIGHUP\n/);
  await workersOf(daemon);
});

t.test('and so is one that dumped core', needsRoot, async (t) => {
  const daemon = await startWithFirst(t, 'kill -s SEGV $$', ['prlimit', '--core=unlimited']);
  await daemon.waitForLog(/worker \d+ died of SIGSEGV and dumped core\n/);
  await workersOf(daemon);
});

t.test('250 starts within two seconds are the limit, and the next one is put off, once', needsRoot, async (t) => {
  const script = workerScript(t, STAY_FIRST, '[ -e "$FOLDER/mended" ] || exit 1');
  const daemon = await startDaemon(t, { worker: script.path, env: DEBUG, through: FAST });
  const count = (what: RegExp) => daemon.log().match(what)?.length ?? 0;
  await daemon.waitForLog(/too many workers started within 2 s, the next start is put off/);
  writeFileSync(script.folder.join('mended'), '');
  const workers = await workersOf(daemon);
  await settled(daemon.pid);
  t.equal(count(/put off/g), 1);
  // All of a window's, and those of the next one that filled up; on a machine that is slow there were windows before.
  const age = startOf(Math.max(...workers)) - startOf(daemon.pid);
  const windows = Math.floor(age / 2);
  t.ok(windows >= 1, 'not before the end of the window');
  t.ok(count(/started worker/g) >= 250);
  t.ok(count(/started worker/g) <= 250 * windows + 4);
});

t.test('it ends in order while a start is put off', needsRoot, async (t) => {
  const script = workerScript(t, STAY_FIRST, 'exit 1');
  const daemon = await startDaemon(t, { worker: script.path, through: FAST });
  await daemon.waitForLog(/put off/);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
});

t.test('when no worker lives and none may be started, the daemon fails', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { worker: '/bin/false', env: DEBUG, through: FAST });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), 'no worker is alive, and no more may be started now');
  t.ok((daemon.log().match(/started worker/g)?.length ?? 0) >= 250);
  t.notOk(existsSync(daemon.socketPath), 'and leaves no socket behind');
});

t.test('a program that can not be run makes it fail, and the log says so', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { worker: '/nonexistent/worker', through: FAST });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), '/nonexistent/worker');
  t.match(daemon.log(), 'failed with exit status 127');
});

t.test('where no process can be started at all, it fails at once', needsRoot, async (t) => {
  const script = 'export PATH=/nonexistent; exec "$@"';
  // Of our own program the first one is started without a shell.
  const daemon = launchDaemon(t, { worker: workerScript(t).path, through: ['sh', '-c', script, 'sh'] });
  t.strictSame(await daemon.gone, { code: 1, signal: null });
  t.match(daemon.log(), /could not start a worker: ENOENT.*sh/);
});

t.test('workers that came and went leave no descriptor and no zombie in the manager', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  await workersOf(daemon);
  await settled(daemon.pid);
  const kinds = () => [...processFds(daemon.pid).values()].map((target) => target.replace(/\d+/g, '')).sort();
  const before = kinds();
  for (let round = 0; round < 20; round++) {
    const [first = 0] = await workersOf(daemon);
    process.kill(first, 'SIGKILL');
    await daemon.waitForLog(new RegExp(`worker ${first} was killed`));
  }
  await workersOf(daemon);
  await settled(daemon.pid);
  t.strictSame(kinds(), before);
});

t.test('a worker that does not end when it is told to is killed', needsRoot, async (t) => {
  const script = workerScript(t, "trap '' TERM");
  const daemon = await startDaemon(t, { worker: script.path });
  const workers = await workersOf(daemon);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
  for (const worker of workers) t.notOk(existsSync(`/proc/${worker}`));
});

t.test('workers that end because they are told to are no cause for a warning', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  await workersOf(daemon);
  await daemon.stop();
  t.notMatch(daemon.log(), 'killed');
});

for (const what of ['our own', 'any other'] as const) {
  t.test(`${what} workers end when the manager is killed`, needsRoot, async (t) => {
    const worker = what === 'our own' ? {} : { worker: workerScript(t).path };
    const daemon = await startDaemon(t, worker);
    await workersOf(daemon, 5, what === 'our own' ? 'nsresourcework' : 'sleep');
    daemon.kill('SIGKILL');
    t.equal((await daemon.exited).signal, 'SIGKILL');
    // Which waits for all who hold the log.
    t.equal((await daemon.gone).signal, 'SIGKILL');
  });
}

t.test('workers that are still being started end with the manager, too', needsRoot, async (t) => {
  const daemon = launchDaemon(t, { worker: workerScript(t).path });
  await until(() => daemon.children().length > 0);
  daemon.kill('SIGKILL');
  t.equal((await daemon.gone).signal, 'SIGKILL');
});
