import { Ledger } from '@sdrx/daemon';
import t from 'tap';
import { startDaemon } from '../support/daemon.js';
import { needsRoot } from '../support/privileges.js';
import { until } from '../support/until.js';
import { varlinkCall } from '../support/varlink-call.js';
import { workersOf } from '../support/workers.js';

const INFO = 'org.varlink.service.GetInfo';

t.test('more than a hundred workers serve at the same time', needsRoot, async (t) => {
  // More than the hundred that may wait for one socket by epoll sets within epoll sets.
  const count = 101;
  // Ahead of whatever else the machine does: those beyond the first five end when they had nothing to do for 90 seconds.
  const through = ['nice', '--adjustment=-20'];
  const daemon = await startDaemon(t, { through, env: { SYSTEMD_LOG_LEVEL: 'debug' } });
  await workersOf(daemon, 5, 'nsresourcework');
  await until(() => {
    // Not from one of them: who else asks for a worker gets one.
    if (daemon.children().length < count) daemon.kill('SIGUSR2');
    return daemon.children().length >= count;
  }, 20);
  using ledger = Ledger.open(daemon.runtimeDirectory, daemon.pid) as Ledger;
  const slots = Array.from({ length: count }, (_, slot) => slot);
  await until(() => slots.every((slot) => ledger.condition(slot) === 'serving'), 20);
  t.equal((await varlinkCall(daemon.socketPath, INFO)).error, undefined);
  t.notMatch(daemon.log(), /failed with|was killed|died of/);
});
