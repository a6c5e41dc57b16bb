import { existsSync, readFileSync } from 'node:fs';
import { Ledger } from '@sdrx/daemon';
import t from 'tap';
import { needsRoot } from '../support/privileges.js';
import { signalAll, startWithSigns, stopProcesses } from '../support/signs.js';
import { until, untilOr } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';
import { workersOf } from '../support/workers.js';

const INFO = 'org.varlink.service.GetInfo';

/** The longest that anything may take here: a manager looks once a second, and gives twenty looks to a worker that starts. */
const LIMIT = 60_000;

function isStopped(pid: number): boolean {
  return /^State:\s*T/m.test(readFileSync(`/proc/${pid}/status`, 'ascii'));
}

t.test('workers have slots in the ledger, with their ids and signs of life', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid) as Ledger;
  const slots = [0, 1, 2, 3, 4];
  t.strictSame(slots.map((slot) => ledger.pid(slot)).sort(), [...workers].sort());
  const before = slots.map((slot) => ledger.beat(slot));
  await until(() => slots.every((slot) => ledger.beat(slot) !== before[slot]));
});

t.test('one that is stopped is replaced, then killed', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  const [first = 0, ...others] = workers;
  stopProcesses(t, [first]);
  await daemon.waitForLog(new RegExp(`worker ${first} gives no sign of life, it is replaced`));
  await untilOr(
    LIMIT,
    () => daemon.children().length === 6,
    () => 'none in its place',
  );
  const killed = new RegExp(`worker ${first} does not end, it is killed[\\s\\S]*worker ${first} was killed by SIGKILL`);
  await untilOr(LIMIT, () => killed.test(daemon.log()), daemon.log);
  const now = await workersOf(daemon, 5, 'nsresourcework');
  t.ok(others.every((pid) => now.includes(pid)));
});

t.test('one that goes on after it was replaced ends in order', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  const [first = 0] = workers;
  stopProcesses(t, [first]);
  await daemon.waitForLog(new RegExp(`worker ${first} gives no sign of life`));
  signalAll([first], 'SIGCONT');
  await daemon.waitForLog(new RegExp(`worker ${first} ended`));
  await workersOf(daemon, 5, 'nsresourcework');
  t.notMatch(daemon.log(), new RegExp(`worker ${first}.*killed`));
});

t.test('while all of them are stopped clients are served', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  stopProcesses(t, workers);
  const begin = performance.now();
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
  t.comment(`after ${Math.round(performance.now() - begin)} ms`);
  t.ok(workers.every(isStopped));
});

t.test('at the end nobody waits long for workers that are stopped', needsRoot, async (t) => {
  const { daemon, workers } = await startWithSigns(t);
  stopProcesses(t, workers);
  t.strictSame(await daemon.stop(), { code: 0, signal: null });
  for (const worker of workers) t.notOk(existsSync(`/proc/${worker}`));
});
