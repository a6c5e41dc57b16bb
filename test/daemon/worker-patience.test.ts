import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Ledger } from '@sdrx/daemon';
import t from 'tap';
import { launchDaemon, startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { signalAll, startWithSigns, stopProcesses } from '../support/signs.js';
import { until, untilOr } from '../support/until.js';
import { workerScript } from '../support/worker-script.js';
import { workersOf } from '../support/workers.js';

/** The longest that anything may take here: a manager looks once a second, and gives twenty looks to a worker that starts. */
const LIMIT = 100_000;

t.test('one that does not get started is replaced', needsRoot, async (t) => {
  const daemon = launchDaemon(t);
  await until(() => daemon.children().length > 0);
  const [first = 0] = daemon.children();
  stopProcesses(t, [first]);
  const killed = new RegExp(
    `worker ${first} has not begun to work, it is replaced[\\s\\S]*${first} was killed by SIGKILL`,
  );
  await untilOr(LIMIT, () => killed.test(daemon.log()), daemon.log);
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
  t.notOk(existsSync(Ledger.path(daemon.runtimeDirectory)));
});
