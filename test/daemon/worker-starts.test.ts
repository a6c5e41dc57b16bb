import { existsSync, readdirSync, readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { type Daemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { processFds } from '../support/process-fds.js';
import { runProgram } from '../support/run-program.js';
import { settled } from '../support/settled.js';
import { until } from '../support/until.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

const DEBUG = { SYSTEMD_LOG_LEVEL: 'debug' };

function count(daemon: Daemon, what: RegExp): number {
  return daemon.log().match(what)?.length ?? 0;
}

/** Sets how many descriptors a process may have. */
function limitFds(t: Test, pid: number, limit: number): void {
  t.match(runProgram('prlimit', [`--pid=${pid}`, `--nofile=${limit}:`]).exit, { status: 0 });
}

t.test('while no worker can be started the daemon tries again, and it does not end', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path, env: DEBUG });
  const workers = await workersOf(daemon);
  await settled(daemon.pid);
  const soft = Number(/^Max open files\s+(\d+)/m.exec(readFileSync(`/proc/${daemon.pid}/limits`, 'ascii'))?.[1]);
  // From the first descriptor of a worker on it can open nothing more.
  const pidfds = [...processFds(daemon.pid)].filter(([, target]) => target.includes('pidfd'));
  limitFds(t, daemon.pid, Math.min(...pidfds.map(([fd]) => fd)));
  for (const worker of workers) process.kill(worker, 'SIGKILL');
  await daemon.waitForLog(
    /could not start a worker: EMFILE[\s\S]*no worker can be started now, the next start is put off/,
  );
  await until(() => daemon.children().length === 0);
  const before = count(daemon, /could not start/g);
  await until(() => count(daemon, /could not start/g) >= before + 2);
  limitFds(t, daemon.pid, soft);
  await workersOf(daemon);
  t.ok(count(daemon, /could not start/g) < 12, 'it takes its time');
});

t.test('workers that fail again and again are started less and less often', needsRoot, async (t) => {
  const script = workerScript(t, 'sleep 0.15', 'exit 1');
  const daemon = await startDaemon(t, { worker: script.path, env: DEBUG });
  await daemon.waitForLog(/workers fail again and again, the next start is put off/);
  const before = count(daemon, /started worker/g);
  await until(() => count(daemon, /workers fail again and again/g) >= 5);
  t.ok(count(daemon, /started worker/g) - before <= 4 * 5, 'five for each time that they are put off');
});

for (const stopped of [false, true]) {
  const what = stopped ? 'that is stopped' : 'that goes on';
  t.test(`what a worker has started, and ${what}, ends with the worker`, needsRoot, async (t) => {
    // One with a child of its own.
    const script = workerScript(
      t,
      '(sleep 1001 & echo $! > "$FOLDER/below.$$"; exec sleep 1002) &',
      'echo $! > "$FOLDER/child.$$"',
    );
    const daemon = await startDaemon(t, { worker: script.path, env: DEBUG });
    const [first = 0, ...others] = await workersOf(daemon);
    await until(() => readdirSync(script.folder.path).length === 11);
    const started = (pid: number) =>
      ['child', 'below'].map((name) => Number(readFileSync(script.folder.join(`${name}.${pid}`), 'ascii')));
    t.teardown(() => {
      for (const pid of started(first)) if (existsSync(`/proc/${pid}`)) process.kill(pid, 'SIGKILL');
    });
    if (stopped) for (const pid of started(first)) process.kill(pid, 'SIGSTOP');
    process.kill(first, 'SIGKILL');
    await until(() => started(first).every((pid) => !existsSync(`/proc/${pid}`)));
    t.ok(
      others.flatMap(started).every((pid) => existsSync(`/proc/${pid}`)),
      'those of others go on',
    );
    await workersOf(daemon);
    const all = others.flatMap(started);
    await daemon.stop();
    t.ok(
      all.every((pid) => !existsSync(`/proc/${pid}`)),
      'none is left when the daemon ends',
    );
  });
}
