import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Ledger } from '@sdrx/daemon';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { Folder } from '../support/folder.js';
import { needsRoot } from '../support/privileges.js';
import { signalAll, startWithSigns, stopProcesses } from '../support/signs.js';
import { until, untilOr } from '../support/until.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

/** The longest that anything may take here: a manager looks once a second, and gives twenty looks to a worker that starts. */
const LIMIT = 100_000;

/** Makes the first worker hang in the start of its Node. */
const HANG = `
const { mkdirSync, writeFileSync } = require('node:fs');
if (/nsresourcework$/.test(process.argv[1] ?? '')) {
  try {
    mkdirSync(__dirname + '/first');
    writeFileSync(__dirname + '/first/pid', String(process.pid));
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  } catch (error) {
    if (error.code !== 'EEXIST') throw error;
  }
}
`;

t.test('one that hangs in the start of its Node is replaced', needsRoot, async (t) => {
  using folder = new Folder();
  writeFileSync(folder.join('hang.cjs'), HANG);
  const daemon = await startDaemon(t, { env: { NODE_OPTIONS: `--require=${folder.join('hang.cjs')}` } });
  await until(() => existsSync(folder.join('first/pid')));
  const replaced = /worker (\d+) has not begun to work, it is replaced[\s\S]*worker \1 was killed by SIGKILL/;
  await untilOr(LIMIT, () => replaced.test(daemon.log()), daemon.log);
  const first = Number(readFileSync(folder.join('first/pid'), 'ascii'));
  t.match(daemon.log(), `worker ${first} has not begun to work`);
  t.notOk((await workersOf(daemon, 5, 'nsresourcework')).includes(first));
});

t.test('when all of them were stopped, the manager too, nobody is replaced', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  const pids = [daemon.pid, ...workers];
  stopProcesses(t, pids);
  // Longer than what makes a worker silent.
  await setTimeout(7000);
  signalAll(pids, 'SIGCONT');
  // In which the manager looks again.
  await setTimeout(3000);
  t.notMatch(daemon.log(), /sign of life|not begun/);
  t.strictSame(daemon.children(), workers);
});

t.test('a program of others gives no signs and is left alone', needsRoot, async (t) => {
  const daemon = await startDaemon(t, { worker: workerScript(t).path });
  const workers = await workersOf(daemon);
  stopProcesses(t, workers);
  await setTimeout(7000);
  t.strictSame(daemon.children(), workers);
  t.notOk(existsSync(Ledger.path(daemon.runtimeDirectory, daemon.pid)));
});
